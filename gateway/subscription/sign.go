package subscription

import (
	"crypto"
	"crypto/rsa"
	_ "crypto/sha1" // the digests of signatures
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"uwgate/uwsgi"
)

// maxSkew is how far the time of a signature may be from ours.
const maxSkew = 60 * time.Second

// verify checks a signature as PublicKeys describes it. That its time has grown is
// checked later, by remember. The file is read each time, so that keys can be replaced
// while uwgate runs.
func (ad *Admission) verify(sub *uwsgi.Subscription, now time.Time) error {
	if ad.PublicKeys == "" {
		return nil
	}
	if sub.Sign == nil {
		return refuse(RefusedSignature, "it is not signed")
	}
	// The sender chooses the time, and a difference could overflow.
	if t := now.Unix(); sub.Unix < t-int64(maxSkew/time.Second) || sub.Unix > t+int64(maxSkew/time.Second) {
		return refuse(RefusedReplay, "it was signed at %d, more than %v from our clock", sub.Unix, maxSkew)
	}
	key, err := readPublicKey(filepath.Join(ad.PublicKeys, pemName(sub.Key)))
	if err != nil {
		return &refusal{RefusedSignature, err}
	}
	if err := verifySignature(key, ad.digest(), sub); err != nil {
		return &refusal{RefusedSignature, err}
	}
	return nil
}

func (ad *Admission) digest() crypto.Hash {
	if ad.Digest == 0 {
		return crypto.SHA256
	}
	return ad.Digest
}

func verifySignature(key *rsa.PublicKey, digest crypto.Hash, sub *uwsgi.Subscription) error {
	if !digest.Available() {
		return fmt.Errorf("the digest %v is not supported", digest)
	}
	h := digest.New()
	h.Write(sub.Signed)
	if err := rsa.VerifyPKCS1v15(key, digest, h.Sum(nil), sub.Sign); err != nil {
		return fmt.Errorf("the signature for %q with %v: %w", sub.Key, digest, err)
	}
	return nil
}

func readPublicKey(file string) (*rsa.PublicKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s: there is no PEM block in it", file)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New(file + ": this is not an RSA public key")
	}
	return public, nil
}

// pemName returns the file name for a key, the same as in uWSGI's own servers.
func pemName(key string) string {
	name := []byte(key)
	for i, c := range name {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			name[i] = '_'
		}
	}
	return string(name) + ".pem"
}

// A signer is a server whose signed times must grow.
type signer struct{ key, addr string }

// replays remembers the last signed time of each signer, member or not, as long as
// verify would accept that time.
type replays struct {
	last    map[signer]int64
	purgeAt int // entries at which old ones are looked for; 0: not purged yet
}

// maxSigners bounds the signed times that are remembered.
const maxSigners = 1 << 16

// remember stores the signed time of a server. It refuses a datagram whose time is not
// later than the one before. s.mu is held.
func (s *Registry) remember(sub *uwsgi.Subscription, a announced, now time.Time) error {
	if s.PublicKeys == "" {
		return nil
	}
	who := signer{a.Key, a.Addr}
	last, known := s.replays.last[who]
	if known && sub.Unix <= last {
		return refuse(RefusedReplay, "it was signed at %d, and one signed at %d has been accepted for %s", sub.Unix, last, a.Addr)
	}
	if !known && !s.replays.makeRoom(now) {
		return refuse(RefusedFull, "more than %d servers have signed in the last minutes", maxSigners)
	}
	s.replays.add(who, sub.Unix)
	return nil
}

func (r *replays) add(who signer, unix int64) {
	if r.last == nil {
		r.last = make(map[signer]int64)
	}
	r.last[signer{strings.Clone(who.key), strings.Clone(who.addr)}] = unix
}

// makeRoom reports whether there is room for another signer. It deletes old entries when
// there are twice as many as the last deletion left.
func (r *replays) makeRoom(now time.Time) bool {
	if len(r.last) < max(r.purgeAt, 1024) {
		return true
	}
	for who, unix := range r.last {
		if isForgotten(unix, now) {
			delete(r.last, who)
		}
	}
	r.purgeAt = min(2*len(r.last), maxSigners)
	return len(r.last) < maxSigners
}

// isForgotten reports whether verify would refuse that time as too old.
func isForgotten(unix int64, now time.Time) bool { return unix < now.Add(-maxSkew).Unix() }
