package settings

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"go.uber.org/zap/zapcore"
)

// parseSink reads "SINK [json|console]".
func parseSink(text string) (Sink, error) {
	words := strings.Fields(text)
	if len(words) == 0 || len(words) > 2 {
		return Sink{}, errors.New("write stderr, stdout or file:/path, and json or console after it")
	}
	s := Sink{Text: text, Name: words[0]}
	if len(words) == 2 {
		switch words[1] {
		case "json":
		case "console":
			s.Console = true
		default:
			return Sink{}, fmt.Errorf("unknown format %q; write json or console", words[1])
		}
	}
	if path, ok := strings.CutPrefix(s.Name, "file:"); ok {
		if !filepath.IsAbs(path) {
			return Sink{}, errors.New("the path starts with a slash")
		}
		s.Name, s.Path = "file", path
		return s, nil
	}
	if s.Name != "stderr" && s.Name != "stdout" {
		return Sink{}, fmt.Errorf("unknown sink %q; there are stderr, stdout and file:/path", s.Name)
	}
	return s, nil
}

func levelKind() kind {
	k := one("debug, info, warn, error", func(s *Settings) *zapcore.Level { return &s.Log.Level }, func(text string) (zapcore.Level, error) {
		level, err := zapcore.ParseLevel(text)
		if text == "" {
			return zapcore.InfoLevel, nil
		}
		if err != nil {
			err = errors.New("write debug, info, warn or error")
		}
		return level, err
	})
	k.blank = true
	return k
}

// onOff is the word on or off; off sets the field.
func onOff(field func(*Settings) *bool) kind {
	k := one("on, off", field, func(text string) (bool, error) {
		if text != "on" && text != "off" {
			return false, errors.New("write on or off")
		}
		return text == "off", nil
	})
	k.blank = true
	return k
}
