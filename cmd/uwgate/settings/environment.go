package settings

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// An environment has the variables whose names begin as those of settings, but not those of
// tests, and systemd's folder of credentials.
type environment map[string]string

func processEnvironment() environment { return readEnvironment(os.Environ()) }

// readEnvironment reads lines such as UWGATE_TTL=5m. Of two for one name the first counts, as
// in the C library.
func readEnvironment(lines []string) environment {
	env := make(environment)
	for _, line := range lines {
		name, value, ok := strings.Cut(line, "=")
		if _, seen := env[name]; !ok || seen || name != credentialsDirectory && !strings.HasPrefix(name, envPrefix) || strings.HasPrefix(name, envPrefix+"TEST_") {
			continue
		}
		env[name] = value
	}
	return env
}

// serviceLink matches what Kubernetes and Docker set in every container beside a service that
// is called uwgate, or uwgate-admin.
var serviceLink = regexp.MustCompile(`^UWGATE_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// check returns an error if a variable is none of a setting. Each setting may be set for each
// command, whether or not the command takes it.
func (env environment) check() error {
	names := settingNames()
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if name == credentialsDirectory || slices.ContainsFunc(names, func(setting string) bool { return envName(setting) == name }) || serviceLink.MatchString(name) {
			continue
		}
		err := fmt.Errorf("%s in the environment is no setting", name)
		if meant := guess(settingName(name), names); meant != "" {
			err = fmt.Errorf("%w; did you mean %s?", err, envName(meant))
		}
		errs = append(errs, fmt.Errorf("%w; settings are the flags of `uwgate serve --help`, as %s for --ttl", err, envName("ttl")))
	}
	return errors.Join(errs...)
}

// settingName is the setting that the environment would call so.
func settingName(env string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(env, envPrefix), "_", "-"))
}

func settingNames() (names []string) {
	for _, r := range allRows() {
		names = append(names, r.name)
	}
	return names
}
