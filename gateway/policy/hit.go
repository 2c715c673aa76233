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

// Hit returns the response that nginx would send with a value from memcached. v
// are the vars of the request. resp declares its length. Hit returns an error if
// the value is not in Hits.Format, or if the type that nginx would send is not
// known.
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
		return nil, nil, errors.New("policy: the path cannot be decoded, so the Content-Type of a hit is not known")
	}
	resp = &uwsgi.Response{StatusCode: 200, Reason: "OK", ContentLength: int64(len(value))}
	resp.Header = append(uwsgi.Header{
		{Name: "Content-Type", Value: mediaType},
		{Name: "Content-Length", Value: strconv.Itoa(len(value))},
	}, p.Hits.Adds...)
	return resp, value, nil
}

// CutHead splits a stored value into head and body. body is a part of value.
func CutHead(value []byte) (*uwsgi.Response, []byte, error) {
	in := bytes.NewReader(value)
	br := bufio.NewReader(in)
	resp, err := uwsgi.ReadResponse(br)
	if err != nil {
		return nil, nil, err
	}
	body := value[len(value)-in.Len()-br.Buffered():]
	if resp.Chunked || resp.ContentLength >= 0 && resp.ContentLength != int64(len(body)) {
		return nil, nil, errors.New("policy: the head in memcached does not fit the body after it")
	}
	resp.ContentLength = int64(len(body))
	return resp, body, nil
}

// gunzip refuses pages that are larger than BodyLimit.
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
