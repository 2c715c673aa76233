package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"uwgate/gateway/socket"
)

// admit returns false if requests over nc are refused, and logs what to do about that.
func (g *Gateway) admit(nc net.Conn) bool {
	peer := nc.RemoteAddr()
	if !g.isAllowed(peer) {
		g.refuse("connection refused: peer is not allowed; if it is your nginx, add --allow-peer",
			zap.Stringer("peer", peer))
		return false
	}
	if g.Peers.Users == nil || !isUnix(peer) {
		return true
	}
	p, err := socket.OwnerOf(nc)
	switch {
	case err != nil:
		g.refuse("connection refused: the peer's user is not known", zap.Error(err))
	case !slices.Contains(g.Peers.Users, p.UID):
		g.refuse("connection refused: the peer's user is not allowed; if it is your nginx's, add --allow-user",
			zap.Uint32("uid", p.UID), zap.Int32("pid", p.PID))
	default:
		return true
	}
	return false
}

func (g *Gateway) refuse(message string, fields ...zap.Field) {
	g.log().Warn(message, fields...)
	g.stats.peersRefused.Add(1)
}

// isAllowed reports whether requests from addr are served.
func (g *Gateway) isAllowed(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return true
	}
	ip := tcp.AddrPort().Addr().Unmap()
	if ip.IsLoopback() {
		return true
	}
	for _, p := range g.Peers.Networks {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// What became of a TLS handshake.
const (
	handshakeFull    = "full"
	handshakeResumed = "resumed"
	handshakeFailed  = "failed"
)

// handshake does the handshake of a connection over TLS. It returns false if no request can
// follow.
func (g *Gateway) handshake(ctx context.Context, nc net.Conn) bool {
	tc, ok := nc.(*tls.Conn)
	if !ok {
		return true
	}
	tc.SetDeadline(time.Now().Add(g.Timeouts.handshake()))
	err := tc.HandshakeContext(ctx)
	switch {
	case err == nil:
		tc.SetDeadline(time.Time{})
		if tc.ConnectionState().DidResume {
			g.stats.handshakes.add(handshakeResumed)
		} else {
			g.stats.handshakes.add(handshakeFull)
		}
		return true
	case err == io.EOF:
		g.stats.probes.Add(1)
	case ctx.Err() == nil:
		g.log().Warn("TLS handshake failed"+handshakeAdvice(err), zap.Stringer("peer", nc.RemoteAddr()), zap.Error(err))
		g.stats.handshakes.add(handshakeFailed)
	}
	return false
}

// hintSilentTLS logs a connection over TLS that ended without a request. nginx verifies a
// certificate after the handshake, and closes without a word.
func (g *Gateway) hintSilentTLS(nc net.Conn) {
	if _, ok := nc.(*tls.Conn); ok {
		g.log().Info("TLS connection closed without a request; nginx does that if it does not trust --tls-cert: see uwsgi_ssl_trusted_certificate and uwsgi_ssl_name",
			zap.Stringer("peer", nc.RemoteAddr()))
	}
}

// handshakeAdvice is what to do if the peer is nginx.
func handshakeAdvice(err error) string {
	var plain tls.RecordHeaderError
	var untrusted *tls.CertificateVerificationError
	var op *net.OpError
	switch {
	case errors.As(err, &plain):
		return "; if it is your nginx, write uwsgi_pass suwsgi://…, or listen without suwsgi:"
	case errors.As(err, &untrusted):
		return "; nginx's uwsgi_ssl_certificate must be one for clients, from an authority of --tls-client-ca"
	case errors.As(err, &op) && op.Op == "remote error":
		return "; the client has refused: nginx's uwsgi_ssl_trusted_certificate and uwsgi_ssl_name must fit --tls-cert"
	case isTimeout(err):
		return ": nothing came in time"
	case strings.Contains(err.Error(), "didn't provide a certificate"):
		return "; give nginx a uwsgi_ssl_certificate and its key, for --tls-client-ca asks for one"
	case strings.Contains(err.Error(), "unsupported versions"):
		return "; nginx's uwsgi_ssl_protocols must have TLSv1.2 or TLSv1.3"
	}
	return ""
}
