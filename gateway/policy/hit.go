package policy

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strconv"

	"uwgate/uwsgi"
)

// Hit is the answer that nginx would give with what lies in memcached under the key
// of the request v. resp has its length declared. An error says that the value is not
// of Format, or that nobody can tell which type nginx would call it.
func (p *Policy) Hit(v uwsgi.Vars, value []byte, flags uint32) (resp *uwsgi.Response, body []byte, err error) {
	if p.Hits.Format.hasHead() {
		return CutHead(value)
	}
	if p.Hits.Format == FormatGzip && p.Hits.GzipFlag != 0 && flags&p.Hits.GzipFlag != 0 {
		if value, err = p.gunzip(value); err != nil {
			return nil, nil, err
		}
	}
	mediaType, ok := p.Hits.typeOf(v)
	if !ok {
		return nil, nil, errors.New("policy: the path does not tell the type of a hit")
	}
	resp = &uwsgi.Response{StatusCode: 200, Reason: "OK", ContentLength: int64(len(value))}
	resp.Header = append(uwsgi.Header{
		{Name: "Content-Type", Value: mediaType},
		{Name: "Content-Length", Value: strconv.Itoa(len(value))},
	}, p.Hits.Adds...)
	return resp, value, nil
}

// CutHead takes a head and the body behind it apart. body is a part of value.
func CutHead(value []byte) (*uwsgi.Response, []byte, error) {
	in := bytes.NewReader(value)
	br := bufio.NewReader(in)
	resp, err := uwsgi.ReadResponse(br)
	if err != nil {
		return nil, nil, err
	}
	body := value[len(value)-in.Len()-br.Buffered():]
	if resp.Chunked || resp.ContentLength >= 0 && resp.ContentLength != int64(len(body)) {
		return nil, nil, errors.New("policy: the head in memcached is not that of the body behind it")
	}
	resp.ContentLength = int64(len(body))
	return resp, body, nil
}

// gunzip refuses what is larger than any page that is stored.
func (p *Policy) gunzip(value []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(value))
	if err != nil {
		return nil, err
	}
	page, err := io.ReadAll(io.LimitReader(r, p.BodyLimit()+1))
	if err == nil && int64(len(page)) > p.BodyLimit() {
		err = errors.New("policy: the page in memcached is larger than any that is stored")
	}
	return page, err
}
