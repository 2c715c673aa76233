/*
Package uwsgi reads and writes the uwsgi protocol as nginx, uWSGI and gunicorn
speak it: requests, a worker's plain HTTP responses, pings, subscriptions.

A request is one packet and its body:

	byte 0      modifier1, the kind of packet: 0 a WSGI request, 100 a ping, 224 a subscription
	bytes 1-2   size of the block, little endian
	byte 3      modifier2
	block       vars, one after another: size of the name (2 bytes, little endian), name,
	            size of the value (2 bytes, little endian), value
	body        CONTENT_LENGTH raw bytes, which the size above does not count

The vars are CGI's: REQUEST_METHOD, REQUEST_URI, HTTP_ and the name of a header,
and whatever nginx's uwsgi_param adds. Names may repeat: nginx before 1.23 sends
one var for each header line. A connection carries one request, and neither side
half-closes it. The response has no packet around it: an HTTP/1 status line or a
CGI head, header lines, a blank line, and content up to Content-Length, the last
chunk or the end of the stream.

	req, err := uwsgi.ReadRequest(client) // the body stays in client
	…
	err = req.Write(backend) // then the body
	resp, err := uwsgi.ReadResponse(fromBackend)
	body := resp.Body(fromBackend, req.Vars.Get("REQUEST_METHOD"))
	resp.Clean()
	err = resp.Write(client) // then the body

The readers are strict where two readers could disagree, since a gateway stands
between two of them. Lengths are added as int and checked before anything is
sliced. A var that reaches past its block is an error (uWSGI reads on), and so are
contradictory lengths. Heads are never passed on as they came, but written from
what was parsed.

Left out: connections, deadlines, goroutines and logging; which vars may pass; the
effect of a subscription; puwsgi and passing of file descriptors.

No value may be used by several goroutines at once, except that many may read Vars
and Header.
*/
package uwsgi
