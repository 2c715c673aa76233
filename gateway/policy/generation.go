package policy

import (
	"errors"
	"fmt"
	"strings"

	"uwgate/uwsgi"
)

// maxGeneration is the length in bytes of the longest generation. Keys have 250 at most.
const maxGeneration = 32

// afterGeneration is the byte that follows a generation in a key. No generation contains
// it, so that keys of two generations are never the same.
const afterGeneration = ":"

// WithGeneration returns the template of keys that begin with a generation. It returns
// the template as it is if there is no generation.
func WithGeneration(generation, template string) string {
	if generation == "" {
		return template
	}
	return generation + afterGeneration + template
}

// CheckGeneration returns an error if a text cannot be a generation.
func CheckGeneration(text string) error {
	for i := range len(text) {
		if !isNameByte(text[i]) && text[i] != '-' && text[i] != '.' {
			return errors.New("write letters, digits, dots, dashes and _, such as the number of a release or a commit")
		}
	}
	switch {
	case len(text) > maxGeneration:
		return fmt.Errorf("it has %d bytes, and each key has it: write at most %d", len(text), maxGeneration)
	case namesHost(text):
		return errors.New("this reads like the name of a host, which keys have, too; write it without dots")
	}
	return nil
}

// inGeneration returns the template of the same keys in the generation of that key: t
// itself, or one like it. It returns nil if the key is no such key.
func (t *Template) inGeneration(v uwsgi.Vars, key string) *Template {
	if t.renders(v, key) {
		return t
	}
	own := WithGeneration(t.Generation, "")
	if t.rendersBehind(v, key, len(own)) {
		return t.withGeneration("")
	}
	generation, rest, found := strings.Cut(key, afterGeneration)
	if !found || !t.rendersBehind(v, rest, len(own)) || CheckGeneration(generation) != nil {
		return nil
	}
	return t.withGeneration(generation)
}

// withGeneration returns a template like t. It only renders keys.
func (t *Template) withGeneration(generation string) *Template {
	first := piece{text: WithGeneration(generation, "")}
	pieces := t.pieces
	if own := WithGeneration(t.Generation, ""); own != "" {
		first.text += pieces[0].text[len(own):]
		pieces = pieces[1:]
	}
	return &Template{
		Nginx: t.Nginx, Visitors: t.Visitors, Generation: generation,
		pieces: append([]piece{first}, pieces...), says: t.says, host: t.host,
	}
}

func namesHost(text string) bool {
	for range hostsIn(text) {
		return true
	}
	return false
}
