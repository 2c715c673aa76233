package uwsgi

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

const (
	modifierSubscription = 224
	maxSubscription      = 4096 // bytes of a datagram: all that uWSGI's own servers read
	maxSubscriptionVars  = 64
)

// Codes of malformed subscriptions, besides those of requests.
const (
	BadCommand Code = "bad_command" // modifier2 is neither 0 nor 1
	MissingVar Code = "missing_var" // there is no key or no address
	BadValue   Code = "bad_value"   // of a var that subscriptions have
)

// A Subscription is the datagram in which a uWSGI server announces that it serves a
// key, usually a host, or that it leaves.
type Subscription struct {
	Leave   bool   // it does not serve the key any more
	Key     string // 1 to 255 printable ASCII bytes, no space and no quote
	Address string // of its socket as configured, of the same bytes as a key; it may lack a host, or be a relative path

	Modifier1, Modifier2 uint8 // for the requests that it wants
	Cores                int   // processes times threads; 0: unknown
	Load                 int   // requests that wait in its backlog
	Weight               int   // 0: unknown
	Backup               bool

	Notify string // a UNIX datagram socket for acknowledgements; "": none
	Unix   int64  // when it was sent, in seconds, if it is signed; 0: unknown

	// Sign is the signature, nil if there is none, and Signed the bytes that it
	// covers: all vars before it. It does not cover the header, so Leave is not
	// signed.
	Sign, Signed []byte
}

// ParseSubscription parses a datagram, which is one subscription and nothing else. It
// ignores unknown vars; anything else that departs from the protocol is a
// *FormatError. Sign and Signed are parts of the datagram, not copies.
func ParseSubscription(datagram []byte) (*Subscription, error) {
	block, err := subscriptionBlock(datagram)
	if err != nil {
		return nil, err
	}
	vars, err := Limits{Vars: maxSubscriptionVars}.parse(string(block))
	if err != nil {
		return nil, err
	}
	if name, found := vars.repeat(func(_, _ *Var) bool { return true }); found {
		return nil, &FormatError{Code: DuplicateVar, What: fmt.Sprintf("%.64q is given more than once", name), Offset: -1}
	}
	s := &Subscription{Leave: datagram[3] == 1}
	at := 0
	for _, v := range vars {
		end := at + 2 + len(v.Name) + 2 + len(v.Value)
		if v.Name == "sign" {
			s.Signed, s.Sign = block[:at], block[end-len(v.Value):end]
		}
		if what := s.set(v); what != "" {
			return nil, malformed(BadValue, v.Name+" "+what, at)
		}
		at = end
	}
	if err := s.check(len(block)); err != nil {
		return nil, err
	}
	return s, nil
}

// subscriptionBlock checks everything around the vars and returns the block.
func subscriptionBlock(datagram []byte) ([]byte, error) {
	if len(datagram) < headerSize {
		return nil, &FormatError{Code: ShortHeader, What: "datagram ends inside its header", Offset: int64(len(datagram))}
	}
	size := int(binary.LittleEndian.Uint16(datagram[1:3]))
	block := datagram[headerSize:]
	switch {
	case datagram[0] != modifierSubscription:
		return nil, &FormatError{Code: BadModifier, What: fmt.Sprintf("modifier1 %d is not that of a subscription", datagram[0])}
	case datagram[3] > 1:
		return nil, &FormatError{Code: BadCommand, What: fmt.Sprintf("command %d is neither 0, announce, nor 1, leave", datagram[3]), Offset: 3}
	case len(datagram) > maxSubscription:
		return nil, &FormatError{Code: BlockTooLarge, What: fmt.Sprintf("datagram of more than %d bytes", maxSubscription), Offset: 1}
	case len(block) < size:
		return nil, &FormatError{Code: ShortBlock, What: fmt.Sprintf("datagram ends inside its block of %d bytes", size), Offset: int64(len(datagram))}
	case len(block) > size:
		return nil, &FormatError{Code: TrailingBytes, What: fmt.Sprintf("datagram goes on after its block of %d bytes", size), Offset: int64(headerSize + size)}
	}
	return block, nil
}

// set stores one var. what says what is wrong with it.
func (s *Subscription) set(v Var) (what string) {
	switch v.Name {
	case "key":
		return setWord(&s.Key, v.Value)
	case "address":
		return setWord(&s.Address, v.Value)
	case "notify":
		return setWord(&s.Notify, v.Value)
	case "modifier1":
		return setNumber(&s.Modifier1, v.Value, 255)
	case "modifier2":
		return setNumber(&s.Modifier2, v.Value, 255)
	case "cores":
		return setNumber(&s.Cores, v.Value, 65535)
	case "load":
		return setNumber(&s.Load, v.Value, 65535)
	case "weight":
		return setNumber(&s.Weight, v.Value, 65535)
	case "backup":
		var level int // uWSGI 2.1 knows several
		what = setNumber(&level, v.Value, 65535)
		s.Backup = level > 0
	case "unix":
		return setNumber(&s.Unix, v.Value, 1<<62)
	case "sign":
		if v.Value == "" {
			return "is empty"
		}
	}
	return what
}

func setWord(to *string, value string) (what string) {
	if len(value) < 1 || len(value) > 255 {
		return fmt.Sprintf("has %d bytes, not 1 to 255", len(value))
	}
	for _, c := range []byte(value) {
		if c <= ' ' || c > '~' || c == '"' || c == '\'' || c == '`' {
			return "holds a byte that is not printable, a space or a quote"
		}
	}
	*to = value
	return ""
}

func setNumber[T uint8 | int | int64](to *T, value string, most int64) (what string) {
	n, ok := parseLength(value)
	if !ok || n > most {
		return fmt.Sprintf("is not a decimal number from 0 to %d", most)
	}
	*to = T(n)
	return ""
}

// check checks what concerns more than one var. size is that of the block.
func (s *Subscription) check(size int) error {
	switch {
	case s.Key == "":
		return &FormatError{Code: MissingVar, What: "subscription without a key", Offset: -1}
	case s.Address == "":
		return &FormatError{Code: MissingVar, What: "subscription without an address", Offset: -1}
	case s.Sign != nil && len(s.Signed)+2+len("sign")+2+len(s.Sign) != size:
		return malformed(BadValue, "sign is not the last var", len(s.Signed))
	}
	return nil
}

// Append appends the datagram to b, with its vars in uWSGI's order. To sign it,
// append it without a Sign first: Sign must cover all bytes after the fourth. Signed
// is ignored. If ParseSubscription would refuse the datagram, Append returns b
// unchanged and an error.
func (s *Subscription) Append(b []byte) ([]byte, error) {
	packet, err := s.request().Append(b)
	if err != nil {
		return b, err
	}
	if _, err := ParseSubscription(packet[len(b):]); err != nil {
		return b, err
	}
	return packet, nil
}

func (s *Subscription) request() *Request {
	r := &Request{Modifier1: modifierSubscription}
	if s.Leave {
		r.Modifier2 = 1
	}
	add := func(name, value string) { r.Vars = append(r.Vars, Var{name, value}) }
	add("key", s.Key)
	add("address", s.Address)
	add("modifier1", strconv.Itoa(int(s.Modifier1)))
	add("modifier2", strconv.Itoa(int(s.Modifier2)))
	add("cores", strconv.Itoa(s.Cores))
	add("load", strconv.Itoa(s.Load))
	add("weight", strconv.Itoa(s.Weight))
	if s.Backup {
		add("backup", "1")
	}
	if s.Notify != "" {
		add("notify", s.Notify)
	}
	if s.Unix != 0 {
		add("unix", strconv.FormatInt(s.Unix, 10))
	}
	if s.Sign != nil {
		add("sign", string(s.Sign))
	}
	return r
}
