// Package kubernetes holds the manifests against the types of Kubernetes's API: an unknown
// field, or a value of another kind, fails. It is a module of its own, since these types are
// large.
package kubernetes

import (
	"bytes"
	"os"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

type meta struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}

func object(m meta) any {
	switch m {
	case meta{"v1", "ConfigMap"}:
		return &corev1.ConfigMap{}
	case meta{"v1", "Service"}:
		return &corev1.Service{}
	case meta{"apps/v1", "Deployment"}:
		return &appsv1.Deployment{}
	case meta{"apps/v1", "StatefulSet"}:
		return &appsv1.StatefulSet{}
	case meta{"policy/v1", "PodDisruptionBudget"}:
		return &policyv1.PodDisruptionBudget{}
	case meta{"networking.k8s.io/v1", "NetworkPolicy"}:
		return &networkingv1.NetworkPolicy{}
	}
	return nil
}

func TestManifests(t *testing.T) {
	text, err := os.ReadFile("uwgate.yaml")
	if err != nil {
		t.Fatal(err)
	}
	mounts, volumes := map[string]bool{}, map[string]bool{}
	for _, doc := range bytes.Split(text, []byte("\n---\n")) {
		var m meta
		if err := yaml.Unmarshal(doc, &m); err != nil {
			t.Fatal(err)
		}
		obj := object(m)
		if obj == nil {
			t.Errorf("%+v is not known", m)
			continue
		}
		if err := yaml.UnmarshalStrict(doc, obj); err != nil {
			t.Errorf("%s: %v", m.Kind, err)
		}
		if d, ok := obj.(*appsv1.Deployment); ok {
			if d.Spec.Selector.MatchLabels["app"] != d.Spec.Template.Labels["app"] {
				t.Errorf("%s: the selector matches other pods", d.Name)
			}
			for _, c := range d.Spec.Template.Spec.Containers {
				for _, v := range c.VolumeMounts {
					mounts[d.Name+"/"+v.Name] = true
				}
			}
			for _, v := range d.Spec.Template.Spec.Volumes {
				volumes[d.Name+"/"+v.Name] = true
			}
		}
	}
	for v := range mounts {
		if !volumes[v] {
			t.Errorf("%s is mounted, and no volume", v)
		}
	}
}
