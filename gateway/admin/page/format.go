package page

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

func versionOf(v string) string { return cmp.Or(v, "(devel)") }

// count writes a number with commas: 12,345.
func count[N int | int64 | uint64](n N) string {
	digits := strconv.FormatInt(int64(n), 10)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// bytesOf writes a size: 1.5 MiB.
func bytesOf[N int64 | uint64](n N) string {
	size, units := float64(n), []string{"B", "KiB", "MiB", "GiB", "TiB"}
	for size >= 1024 && len(units) > 1 {
		size, units = size/1024, units[1:]
	}
	if units[0] == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", size, units[0])
}

// percent writes a share. What is not all is never 100 %, and what is not nothing never 0 %.
func percent(share float64) string {
	switch p := share * 100; {
	case p > 99.9 && p < 100:
		return "99.9 %"
	case p > 0 && p < 0.1:
		return "< 0.1 %"
	default:
		return fmt.Sprintf("%.1f %%", p)
	}
}

// ratioOf writes a ratio that may be unknown.
func ratioOf(r *float64) string {
	if r == nil {
		return "–"
	}
	return percent(*r)
}

// share is part of all, 0 if there is nothing.
func share(part, all uint64) float64 {
	if all == 0 {
		return 0
	}
	return float64(part) / float64(all)
}

// seconds writes a duration: 12 ms, 1.25 s, 3m20s.
func seconds(s float64) string {
	switch {
	case s <= 0:
		return "0"
	case s < 0.001:
		return "< 1 ms"
	case s < 1:
		return fmt.Sprintf("%.0f ms", s*1000)
	case s < 60:
		return fmt.Sprintf("%.2f s", s)
	default:
		return uptime(int64(math.Round(s)))
	}
}

// uptime writes seconds as the two greatest units: 3d 4h.
func uptime(s int64) string {
	d, h, m := s/86400, s/3600%24, s/60%60
	switch {
	case d > 0:
		return fmt.Sprintf("%dd %dh", d, h)
	case h > 0:
		return fmt.Sprintf("%dh %dm", h, m)
	case m > 0:
		return fmt.Sprintf("%dm %ds", m, s%60)
	default:
		return fmt.Sprintf("%ds", s)
	}
}

// ago writes how long ago something was.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return uptime(max(0, int64(now.Sub(t)/time.Second))) + " ago"
}

// plural writes a number with its noun.
func plural[N int | int64 | uint64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// clip cuts text to at most n bytes, between letters.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + "…"
}
