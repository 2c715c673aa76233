package settings

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// fileSuffix ends the name of the setting that names the file of a secret.
const fileSuffix = "-file"

// credentialsDirectory is the variable in which systemd names the folder of a service's
// credentials (LoadCredential=, SetCredentialEncrypted= and others).
const credentialsDirectory = "CREDENTIALS_DIRECTORY"

// secretFileRow is the setting that names the file of a secret.
func secretFileRow(of string, restart bool, field func(*Settings) *string) row {
	return row{name: of + fileSuffix, kind: text("file", field, nil), example: "/etc/uwgate/" + of, restart: restart,
		help: "read --" + of + " from this `FILE`, which has nothing else in it; systemd's credential of the name " + of + " is read without a setting"}
}

// readSecrets reads the secrets that files have: those that settings name, and systemd's
// credentials.
func (set *Set) readSecrets(g given) error {
	var errs []error
	for _, r := range set.rows {
		if r.secret && set.row(r.name+fileSuffix) != nil {
			errs = append(errs, set.readSecret(g, r))
		}
	}
	return errors.Join(errs...)
}

func (set *Set) readSecret(g given, r *row) error {
	named := g[r.name+fileSuffix]
	path := g.single(r.name + fileSuffix)
	secret, isSet := g[r.name]
	switch {
	case path == "" && isSet, set.foreign:
		return nil
	case path != "" && isSet:
		return fmt.Errorf("%s: %s sets the secret, too: remove one of the two", named.origin.assignment(r.name+fileSuffix, path, false), secret.origin.name(r.name))
	case path == "":
		dir := set.env()[credentialsDirectory]
		if path = filepath.Join(dir, r.name); dir == "" || !exists(path) {
			return nil
		}
		named.origin = Origin{kind: fromSecret, place: path}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		err = fmt.Errorf("%w; write the secret into it, as in `openssl rand -hex 16 >FILE`, and let uwgate's user read it", withoutPath(err))
		return &Error{Setting: r.name + fileSuffix, Origin: named.origin, Value: path, Err: err, row: set.row(r.name + fileSuffix)}
	}
	g[r.name] = texted{[]string{strings.TrimSpace(string(text))}, Origin{kind: fromSecret, place: path}}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// withoutPath returns the cause of an error of package os.
func withoutPath(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
