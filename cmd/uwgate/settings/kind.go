package settings

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A kind is how the values of a setting are read.
type kind struct {
	word   string // what docs/settings.md calls it
	list   bool
	toggle bool
	blank  bool // an empty value in the environment counts

	least, most int64 // of a number; both zero: not known

	// take reads one value into its field; that of a list appends it.
	take func(s *Settings, text string) error

	// show returns what the field holds. Settings are compared by it.
	show func(s *Settings) string
}

// one is the kind of a setting with one value.
func one[T any](word string, field func(*Settings) *T, parse func(string) (T, error)) kind {
	return kind{
		word: word,
		take: func(s *Settings, text string) error {
			v, err := parse(text)
			if err == nil {
				*field(s) = v
			}
			return err
		},
		show: func(s *Settings) string { return fmt.Sprintf("%v", *field(s)) },
	}
}

// many is the kind of a setting that may be given several times.
func many[T any](word string, field func(*Settings) *[]T, parse func(string) (T, error)) kind {
	return kind{
		word: word, list: true, blank: true,
		take: func(s *Settings, text string) error {
			v, err := parse(text)
			if err == nil {
				*field(s) = append(*field(s), v)
			}
			return err
		},
		show: func(s *Settings) string { return fmt.Sprintf("%#v", *field(s)) },
	}
}

// toggle is true or false.
func toggle(field func(*Settings) *bool) kind {
	k := one("true or false", field, func(text string) (bool, error) {
		v, err := strconv.ParseBool(text)
		if err != nil {
			err = errors.New("write true or false")
		}
		return v, err
	})
	k.toggle = true
	return k
}

// text is a string that check, which may be nil, accepts. The empty string is one.
func text(word string, field func(*Settings) *string, check func(string) error) kind {
	k := one(word, field, func(s string) (string, error) {
		if s == "" || check == nil {
			return s, nil
		}
		return s, check(s)
	})
	k.blank = true
	return k
}

// texts is a list of strings that check accepts.
func texts(word string, field func(*Settings) *[]string, check func(string) error) kind {
	return many(word, field, func(s string) (string, error) { return s, check(s) })
}

// word is one of a few words.
func word(field func(*Settings) *string, words ...string) kind {
	k := one(strings.Join(words, ", "), field, func(s string) (string, error) {
		if !slices.Contains(words, s) {
			return "", fmt.Errorf("write %s", orList(words))
		}
		return s, nil
	})
	k.blank = true
	return k
}

// orList joins words as in "a, b or c".
func orList(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// period is a time that check, which may be nil, accepts.
func period(field func(*Settings) *time.Duration, check func(time.Duration) error) kind {
	return one("time", field, func(text string) (time.Duration, error) {
		d, err := parseTime(text)
		if err == nil && check != nil {
			err = check(d)
		}
		return d, err
	})
}

func parseTime(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		err = errors.New("write a time with its unit, as in 250ms, 90s, 10m or 1h30m")
		if _, bare := strconv.ParseUint(text, 10, 32); bare == nil {
			err = fmt.Errorf("this has no unit: write %ss if you mean seconds, or a time as in 250ms, 10m or 1h30m", text)
		}
	}
	return d, err
}

// shortest is less than any step takes: a shorter time lets everything fail.
const shortest = time.Millisecond

func positive(d time.Duration) error {
	if d < shortest {
		return errors.New("write a time of 1ms or more")
	}
	return nil
}

// zeroIs accepts 0, and times that can be kept; what says what 0 means.
func zeroIs(what string) func(time.Duration) error {
	return func(d time.Duration) error {
		if d < 0 || d > 0 && d < shortest {
			return fmt.Errorf("write a time, or 0s for %s", what)
		}
		return nil
	}
}

// maxTTL is the longest expiry that memcached does not read as a date.
const maxTTL = 30 * 24 * time.Hour

func checkLifetime(d time.Duration) error {
	if d < 0 || d > maxTTL || d > 0 && d < time.Second {
		return errors.New("write a time from 1s to 720h; memcached reads a longer one as a date")
	}
	return nil
}

// number is a whole number from least to most; advice, if any, says more.
func number[T int | uint](field func(*Settings) *T, least, most int64, advice string) kind {
	k := one("number", field, func(text string) (T, error) {
		n, err := strconv.ParseInt(text, 0, 64)
		if err != nil || n < least || n > most {
			return 0, fmt.Errorf("write a number from %d to %d%s", least, most, advice)
		}
		return T(n), nil
	})
	k.least, k.most = least, most
	return k
}

// amount is a number of bytes.
func amount(field func(*Settings) *Size) kind {
	k := one("size", field, parseSize)
	k.show = func(s *Settings) string { return field(s).String() }
	return k
}

// someBytes is a number of bytes over 0.
func someBytes(field func(*Settings) *Size) kind {
	k := one("size", field, func(text string) (Size, error) {
		n, err := parseSize(text)
		if err == nil && n == 0 {
			err = errors.New("nothing would be stored; write a size over 0")
		}
		return n, err
	})
	k.show = amount(field).show
	return k
}

// A Size is a number of bytes, written 1048576, 1024k, 1M or 1MiB.
type Size int64

func parseSize(text string) (Size, error) {
	digits := strings.TrimRight(text, "BbIiKkMmGg ")
	unit, ok := map[string]int64{"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}[strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(text[len(digits):]), "b"), "i")]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !ok || n < 0 || n > 1<<62/unit {
		return 0, errors.New("write a number of bytes, or a number with k, M or G after it")
	}
	return Size(n * unit), nil
}

// String writes the size with the largest unit that divides it.
func (s Size) String() string {
	for _, u := range []struct {
		unit Size
		name string
	}{{1 << 30, "G"}, {1 << 20, "M"}, {1 << 10, "k"}} {
		if s >= u.unit && s%u.unit == 0 {
			return strconv.FormatInt(int64(s/u.unit), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}
