package main

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"uwgate/cmd/uwgate/settings"
)

func readDeploy(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The socket unit listens where the configuration of the package does, and the service has time
// to drain.
func TestUnitsFitTheConfiguration(t *testing.T) {
	install, socket, service := readDeploy(t, "install"), readDeploy(t, "systemd/uwgate.socket"), readDeploy(t, "systemd/uwgate.service")
	listen := regexp.MustCompile(`--listen unix:(\S+)`).FindStringSubmatch(install)
	if listen == nil || !strings.Contains(socket, "\nListenStream="+listen[1]+"\n") {
		t.Errorf("the package listens at %q; the socket unit:\n%s", listen, socket)
	}
	exec := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/uwgate serve --config (\S+)$`).FindStringSubmatch(service)
	if exec == nil || !strings.Contains(install, strings.TrimPrefix(exec[1], "/etc")) {
		t.Errorf("the service has no configuration of the package: %q", exec)
	}
	for _, line := range []string{"Type=notify", "User=uwgate", "RuntimeDirectory=uwgate", "RuntimeDirectoryPreserve=yes", "TimeoutStopSec=45"} {
		if !strings.Contains(service, "\n"+line+"\n") {
			t.Errorf("the service lacks %s", line)
		}
	}
}

// The configurations of uwgate in compose files and manifests can be used.
func TestDeployedSettings(t *testing.T) {
	composed := 0
	for _, file := range []string{"../docker-compose.yml", "compose/site.yml", "compose/fleet.yml"} {
		var doc struct {
			Services map[string]struct {
				Image   string
				Command []string
			}
		}
		text := strings.NewReplacer("${BACKEND:?set BACKEND to the address of uWSGI, as in 192.0.2.10:3031}", "192.0.2.10:3031", "${UWGATE_IMAGE:-uwgate}", "uwgate").Replace(readDeploy(t, file))
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for name, s := range doc.Services {
			if s.Image != "uwgate" {
				continue
			}
			composed++
			if len(s.Command) == 0 || s.Command[0] != "serve" {
				t.Errorf("%s: %s runs %q", file, name, s.Command)
			} else if err := readFlags(settings.ForServe(), s.Command[1:]); err != nil {
				t.Errorf("%s: %s: %v", file, name, err)
			}
		}
	}
	if composed != 4 {
		t.Errorf("%d services", composed)
	}

	for doc := range strings.SplitSeq(readDeploy(t, "kubernetes/uwgate.yaml"), "\n---\n") {
		var m struct {
			Kind string
			Data map[string]string
		}
		if err := yaml.Unmarshal([]byte(doc), &m); err != nil {
			t.Fatal(err)
		}
		for name, conf := range m.Data {
			path := filepath.Join(t.TempDir(), name)
			secret := filepath.Join(t.TempDir(), "token")
			conf = strings.Replace(conf, "/etc/uwgate-secret/admin-token", secret, 1)
			for file, text := range map[string]string{path: conf, secret: "0123456789abcdef"} {
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			set := settings.ForServe()
			flags := flag.NewFlagSet("", flag.ContinueOnError)
			for _, f := range set.Flags() {
				f.Apply(flags)
			}
			if err := flags.Parse([]string{"--config", path}); err != nil {
				t.Fatal(err)
			}
			s, err := set.Read()
			if err != nil {
				t.Fatal(err)
			}
			if s.Control.Token == "" || len(s.Warnings()) != 1 { // --observe
				t.Errorf("token %q, warnings %+v", s.Control.Token, s.Warnings())
			}
		}
	}
}
