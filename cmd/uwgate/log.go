package main

import (
	"errors"
	"io"
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"uwgate/cmd/uwgate/settings"
)

// A logbook is the program's log. It writes to any number of sinks.
type logbook struct {
	// log is for events. Repeated lines are sampled.
	log *zap.Logger
	// access is for requests, one line each. Its lines are not sampled.
	access *zap.Logger

	sinks []*sink
}

// openLogs opens the sinks.
func openLogs(to settings.Log, stdout, stderr io.Writer) (*logbook, error) {
	var b logbook
	var cores []zapcore.Core
	for _, spec := range to.Sinks {
		dst, err := openSink(spec, stdout, stderr)
		if err != nil {
			b.close()
			return nil, err
		}
		s := newSink(dst)
		b.sinks = append(b.sinks, s)
		cores = append(cores, zapcore.NewCore(encoder(spec.Console), s, to.Level))
	}
	core := zapcore.NewTee(cores...)
	b.access = zap.New(core)
	// A hundred equal lines a second say as much as ten thousand.
	b.log = zap.New(zapcore.NewSamplerWithOptions(core, time.Second, 100, 1000))
	return &b, nil
}

func openSink(spec settings.Sink, stdout, stderr io.Writer) (reopener, error) {
	switch spec.Name {
	case "stderr":
		return nopReopener{stderr}, nil
	case "stdout":
		return nopReopener{stdout}, nil
	}
	f := &logFile{path: spec.Path}
	return f, f.Reopen()
}

// encoder writes lines for people, or JSON.
func encoder(console bool) zapcore.Encoder {
	cfg := zap.NewProductionEncoderConfig()
	cfg.TimeKey = "time"
	cfg.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	cfg.EncodeDuration = zapcore.SecondsDurationEncoder
	if console {
		cfg.EncodeTime = zapcore.ISO8601TimeEncoder
		return zapcore.NewConsoleEncoder(cfg)
	}
	return zapcore.NewJSONEncoder(cfg)
}

// reopen opens the files again: a rotation has renamed the old ones.
func (b *logbook) reopen() error {
	var errs []error
	for _, s := range b.sinks {
		errs = append(errs, s.reopen())
	}
	return errors.Join(errs...)
}

func (b *logbook) reopenOrReport() {
	if err := b.reopen(); err != nil {
		b.log.Error("log files could not be opened again; uwgate still writes to the old ones", zap.Error(err))
	}
}

// lost returns how many lines were dropped, over all sinks.
func (b *logbook) lost() (n uint64) {
	for _, s := range b.sinks {
		n += s.lost.Load()
	}
	return n
}

// close writes what is queued, for a few seconds at most.
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
