package subscription

import (
	"crypto"
	"crypto/rsa"
	_ "crypto/sha1" // the digests that verify can use
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

// maxSkew is how far a signature's time may be from ours.
const maxSkew = 60 * time.Second

// verify checks a signature as PublicKeys describes it, but for its time's being
// new: see remember. The file is read each time, so that keys can be replaced.
func (s *Registry) verify(sub *uwsgi.Subscription, now time.Time) error {
	if s.PublicKeys == "" {
		return nil
	}
	if sub.Sign == nil {
		return refuse(RefusedSignature, "it is not signed")
	}
	// Never by a difference: the time is the sender's choice.
	if t := now.Unix(); sub.Unix < t-int64(maxSkew/time.Second) || sub.Unix > t+int64(maxSkew/time.Second) {
		return refuse(RefusedReplay, "it was signed at %d, more than %v from our clock", sub.Unix, maxSkew)
	}
	key, err := readPublicKey(filepath.Join(s.PublicKeys, pemName(sub.Key)))
	if err != nil {
		return &refusal{RefusedSignature, err}
	}
	if err := verifySignature(key, s.digest(), sub); err != nil {
		return &refusal{RefusedSignature, err}
	}
	return nil
}

func (s *Registry) digest() crypto.Hash {
	if s.Digest == 0 {
		return crypto.SHA256
	}
	return s.Digest
}

func verifySignature(key *rsa.PublicKey, digest crypto.Hash, sub *uwsgi.Subscription) error {
	if !digest.Available() {
		return fmt.Errorf("the digest %v is not known", digest)
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
		return nil, fmt.Errorf("%s: no PEM block", file)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New(file + ": not the public key of RSA")
	}
	return public, nil
}

// pemName is the file name that uWSGI's own servers use for a key.
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

// A signer is whose signed times have to grow.
type signer struct{ key, addr string }

// replays remembers the last signed time of each signer, whether it is still a
// member or not, for as long as verify would take it.
type replays struct {
	last    map[signer]int64
	purgeAt int // entries; 0: not purged yet
}

const maxSigners = 1 << 16

// remember refuses what was signed no later than something before. s.mu is held.
func (s *Registry) remember(sub *uwsgi.Subscription, a announced, now time.Time) error {
	if s.PublicKeys == "" {
		return nil
	}
	who := signer{a.Key, a.Addr}
	last, known := s.replays.last[who]
	if known && sub.Unix <= last {
		return refuse(RefusedReplay, "it was signed at %d, and one at %d has been taken for %s", sub.Unix, last, a.Addr)
	}
	if !known && !s.replays.hasRoom(now) {
		return refuse(RefusedFull, "too many servers have signed in the last minutes")
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

// hasRoom looks for old entries once there are twice as many as were left by the
// time before.
func (r *replays) hasRoom(now time.Time) bool {
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

// isForgotten reports whether verify would not take that time any more.
func isForgotten(unix int64, now time.Time) bool { return unix < now.Add(-maxSkew).Unix() }
