package warm

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
)

// Bounds of what a sitemap may make us hold.
const (
	maxLocation = 8 << 10  // the protocol permits 2,048 characters
	maxToken    = 1 << 20  // of XML: a tag, or the text between two
	maxNesting  = 32       // of XML elements
	maxLine     = 64 << 10 // of a text
)

// parse reads one sitemap, of at most limit bytes without compression. It calls found
// with each location, until that returns false; isIndex says that the location is another
// sitemap's.
func parse(r io.Reader, limit int64, found func(isIndex bool, loc string) bool) error {
	in, err := inflated(r)
	if err != nil {
		return err
	}
	in = bufio.NewReader(&bounded{r: in, left: limit + 1, err: fmt.Errorf("it is longer than %d MiB; divide it", limit>>20)})
	if mark, _ := in.Peek(3); string(mark) == "\ufeff" {
		in.Discard(3)
	}
	first, err := firstByte(in)
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("it is empty")
	case err != nil:
		return err
	case first == '<':
		return parseXML(in, found)
	}
	return parseText(in, found)
}

// inflated undoes gzip, twice if a compressed file was sent compressed. What a file is,
// its first bytes say: names and headers are often wrong.
func inflated(r io.Reader) (*bufio.Reader, error) {
	in := bufio.NewReader(r)
	for range 2 {
		if magic, _ := in.Peek(2); string(magic) != "\x1f\x8b" {
			break
		}
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		in = bufio.NewReader(z)
	}
	return in, nil
}

// firstByte returns the first byte that is not white space, and leaves it in r.
func firstByte(r *bufio.Reader) (byte, error) {
	for {
		c, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		if !strings.ContainsRune(" \t\r\n", rune(c)) {
			return c, r.UnreadByte()
		}
	}
}

// A bounded reader fails with err after a number of bytes.
type bounded struct {
	r    io.Reader
	left int64
	err  error
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, b.err
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func parseXML(r io.Reader, found func(bool, string) bool) error {
	token := &bounded{r: r, err: errors.New("one tag or text in it is over 1 MiB")}
	d := xml.NewDecoder(token)
	var path []string
	var loc []byte
	for {
		token.left = maxToken
		t, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("it is no XML: %w", err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			path, loc = append(path, t.Name.Local), nil
			if err := checkPath(path); err != nil {
				return err
			}
		case xml.CharData:
			if isLocation(path) {
				if loc = append(loc, t...); len(loc) > maxLocation {
					return errors.New("a location in it is over 8 KiB")
				}
			}
		case xml.EndElement:
			if isLocation(path) && len(loc) > 0 && !found(path[0] == "sitemapindex", string(bytes.TrimSpace(loc))) {
				return nil
			}
			path = path[:len(path)-1]
		}
	}
}

// checkPath returns an error if the innermost element may not be where it is.
func checkPath(path []string) error {
	switch {
	case len(path) > maxNesting:
		return errors.New("its elements are too deep in each other")
	case len(path) > 1 || path[0] == "urlset" || path[0] == "sitemapindex":
		return nil
	case path[0] == "html":
		return errors.New("it is an HTML page and no sitemap")
	}
	return fmt.Errorf("it is no sitemap, which begins with <urlset> or <sitemapindex>, not with <%s>", path[0])
}

// isLocation reports whether the innermost element is the location of a page or of a
// sitemap. Those of images and videos are deeper.
func isLocation(path []string) bool {
	return len(path) == 3 && path[2] == "loc" && (path[0] == "urlset" && path[1] == "url" || path[0] == "sitemapindex" && path[1] == "sitemap")
}

// parseText reads a text with a URL a line, or a robots.txt, in which only the sitemaps
// matter.
func parseText(r io.Reader, found func(bool, string) bool) error {
	for line, err := range Lines(r) {
		if err != nil {
			return err
		}
		name, value, isField := strings.Cut(line, ":")
		more := true
		switch {
		case IsURL(line):
			more = found(false, line)
		case isField && strings.EqualFold(name, "sitemap"):
			more = found(true, strings.TrimSpace(value))
		case !isField:
			return fmt.Errorf("it is neither XML nor a list of URLs: %.60q", line)
		}
		if !more {
			return nil
		}
	}
	return nil
}

// Lines returns the lines of a text without white space around them, and without blank
// lines and those that begin with #. An error is the last.
func Lines(r io.Reader) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		in := bufio.NewScanner(r)
		in.Buffer(nil, maxLine)
		for in.Scan() {
			line := strings.TrimSpace(in.Text())
			if line != "" && line[0] != '#' && !yield(line, nil) {
				return
			}
		}
		if err := in.Err(); err != nil {
			yield("", err)
		}
	}
}
