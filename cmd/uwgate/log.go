package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// A logbook is where the program writes to: any number of sinks.
type logbook struct {
	// log is for what happens now and then; repeated lines are sampled.
	log *zap.Logger
	// access gets a line a request and loses none of them.
	access *zap.Logger

	sinks []*sink
}

// openLogs opens the sinks given as "SINK [json|console]".
func openLogs(specs []string, level zapcore.Level, stdout, stderr io.Writer) (*logbook, error) {
	var b logbook
	var cores []zapcore.Core
	for _, spec := range specs {
		s, enc, err := openSink(spec, stdout, stderr)
		if err != nil {
			b.close()
			return nil, err
		}
		b.sinks = append(b.sinks, s)
		cores = append(cores, zapcore.NewCore(enc, s, level))
	}
	core := zapcore.NewTee(cores...)
	b.access = zap.New(core)
	// A hundred equal lines a second tell as much as ten thousand.
	b.log = zap.New(zapcore.NewSamplerWithOptions(core, time.Second, 100, 1000))
	return &b, nil
}

func openSink(spec string, stdout, stderr io.Writer) (*sink, zapcore.Encoder, error) {
	words := strings.Fields(spec)
	if len(words) == 0 || len(words) > 2 {
		return nil, nil, fmt.Errorf("--log %q: write stderr, stdout or file:/path, and json or console after it", spec)
	}
	format := "json"
	if len(words) == 2 {
		format = words[1]
	}
	enc, err := encoder(format)
	if err != nil {
		return nil, nil, fmt.Errorf("--log %q: %w", spec, err)
	}
	switch name := words[0]; {
	case name == "stderr":
		return newSink(nopReopener{stderr}), enc, nil
	case name == "stdout":
		return newSink(nopReopener{stdout}), enc, nil
	case strings.HasPrefix(name, "file:"):
		f := &logFile{path: strings.TrimPrefix(name, "file:")}
		if !filepath.IsAbs(f.path) {
			return nil, nil, fmt.Errorf("--log %q: the path starts with a slash, as in file:/var/log/uwgate.log", spec)
		}
		if err := f.Reopen(); err != nil {
			return nil, nil, fmt.Errorf("--log %q: %w", spec, err)
		}
		return newSink(f), enc, nil
	default:
		return nil, nil, fmt.Errorf("--log %q: unknown sink %q; there are stderr, stdout and file:/path", spec, name)
	}
}

func encoder(format string) (zapcore.Encoder, error) {
	cfg := zap.NewProductionEncoderConfig()
	cfg.TimeKey = "time"
	cfg.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	cfg.EncodeDuration = zapcore.SecondsDurationEncoder
	switch format {
	case "json":
		return zapcore.NewJSONEncoder(cfg), nil
	case "console":
		cfg.EncodeTime = zapcore.ISO8601TimeEncoder
		return zapcore.NewConsoleEncoder(cfg), nil
	}
	return nil, fmt.Errorf("unknown format %q; there are json and console", format)
}

// reopen makes files anew, for whoever has moved the old ones away.
func (b *logbook) reopen() error {
	var errs []error
	for _, s := range b.sinks {
		errs = append(errs, s.reopen())
	}
	return errors.Join(errs...)
}

func (b *logbook) reopenOrTell() {
	if err := b.reopen(); err != nil {
		b.log.Error("log files not reopened; the old ones are still written", zap.Error(err))
	}
}

// close writes out what is queued, for a few seconds at most.
func (b *logbook) close() {
	for _, s := range b.sinks {
		s.close(3 * time.Second)
	}
}

// A reopener is a destination of log lines.
type reopener interface {
	io.Writer
	Reopen() error
}

type nopReopener struct{ io.Writer }

func (nopReopener) Reopen() error { return nil }

// A logFile appends to the file of that path.
type logFile struct {
	path string
	f    *os.File
}

func (l *logFile) Reopen() error {
	f, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	if l.f != nil {
		l.f.Close()
	}
	l.f = f
	return nil
}

func (l *logFile) Write(b []byte) (int, error) { return l.f.Write(b) }
