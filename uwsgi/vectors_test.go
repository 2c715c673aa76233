package uwsgi

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// hexBytes is a string of hex digits in the vectors.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// vectorValue is a string, or {"hex": …} if that is not printable.
type vectorValue string

func (v *vectorValue) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return json.Unmarshal(b, (*string)(v))
	}
	var raw struct{ Hex hexBytes }
	err := json.Unmarshal(b, &raw)
	*v = vectorValue(raw.Hex)
	return err
}

type vectorVars [][2]vectorValue

func (vv vectorVars) vars() Vars {
	vars := make(Vars, 0, len(vv))
	for _, v := range vv {
		vars = append(vars, Var{string(v[0]), string(v[1])})
	}
	return vars
}

type packetVector struct {
	Name      string
	PacketHex hexBytes   `json:"packet_hex"`
	BodyHex   hexBytes   `json:"body_hex"`
	BodyLen   int64      `json:"body_len"`
	Vars      vectorVars `json:"vars"`
	Header    struct {
		Modifier1, Modifier2 uint8
		Datasize             int
	}
}

type responseVector struct {
	Name           string
	RequestVars    vectorVars `json:"request_vars"`
	ResponseHex    hexBytes   `json:"response_hex"`
	HeadHex        hexBytes   `json:"response_head_hex"`
	ResponseLen    int        `json:"response_len"`
	ResponseSHA256 string     `json:"response_sha256"`
	ConnectionEnd  string     `json:"connection_end"`
	Expect         struct {
		Status        int
		Headers       [][2]string
		Framing       string
		Complete      any
		Cacheable     *bool   `json:"cacheable_framing"`
		BodyForwarded *int    `json:"body_forwarded"`
		DecodedBody   *string `json:"decoded_body"`
		GatewayStatus int     `json:"gateway_status"`
	}
}

type vectors struct {
	Requests      []packetVector `json:"nginx_requests"`
	Subscriptions []packetVector
	Modifiers     []struct {
		Name        string
		RequestHex  hexBytes `json:"request_hex"`
		ResponseHex hexBytes `json:"response_hex"`
	} `json:"ping_and_other_modifiers"`
	Responses []responseVector `json:"worker_responses"`
	Signing   struct {
		PublicKey string `json:"public_key_pem"`
	} `json:"subscription_signing"`
}

func readVectors(tb testing.TB) vectors {
	tb.Helper()
	b, err := os.ReadFile("testdata/uwsgi_packets.json")
	if err != nil {
		tb.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		tb.Fatal(err)
	}
	if len(v.Requests) < 35 || len(v.Subscriptions) < 43 || len(v.Modifiers) < 10 || len(v.Responses) < 21 {
		tb.Fatalf("vectors are incomplete: %d requests, %d subscriptions, %d modifiers, %d responses",
			len(v.Requests), len(v.Subscriptions), len(v.Modifiers), len(v.Responses))
	}
	return v
}

// testPacket decodes a recorded packet, compares it and encodes it again.
func testPacket(t *testing.T, limits Limits, vec packetVector) *Request {
	t.Helper()
	br := bufio.NewReader(bytes.NewReader(append(slices.Clip(vec.PacketHex), vec.BodyHex...)))
	req, err := limits.ReadRequest(br)
	if err != nil {
		t.Fatal(err)
	}
	if req.Modifier1 != vec.Header.Modifier1 || req.Modifier2 != vec.Header.Modifier2 {
		t.Errorf("modifiers %d, %d; want %d, %d", req.Modifier1, req.Modifier2, vec.Header.Modifier1, vec.Header.Modifier2)
	}
	if got, want := req.Vars, vec.Vars.vars(); !slices.Equal(got, want) {
		t.Errorf("vars\n got %q\nwant %q", got, want)
	}
	if got := req.Size(); got != vec.Header.Datasize {
		t.Errorf("size %d, want %d", got, vec.Header.Datasize)
	}
	if got, err := req.Append(nil); err != nil || !bytes.Equal(got, vec.PacketHex) {
		t.Errorf("encoded again: %v\n got %x\nwant %x", err, got, vec.PacketHex)
	}
	if body, _ := io.ReadAll(br); !bytes.Equal(body, vec.BodyHex) {
		t.Errorf("left in the reader: %q, want the body %q", body, vec.BodyHex)
	}
	return req
}

func TestNginxRequests(t *testing.T) {
	for _, vec := range readVectors(t).Requests {
		t.Run(vec.Name, func(t *testing.T) {
			var limits Limits
			if m := vec.Header.Modifier1; m != modifierWSGI {
				_, err := ReadRequest(bufio.NewReader(bytes.NewReader(vec.PacketHex)))
				wantCode(t, err, BadModifier)
				limits.Modifiers = []uint8{m}
			}
			req := testPacket(t, limits, vec)
			want := vec.BodyLen
			if vec.Name == "no_pass_body" {
				want = 5 // announced, yet nothing follows: uwsgi_pass_request_body off
			}
			if got, err := req.ContentLength(); err != nil || got != want {
				t.Errorf("content length %d, %v; want %d", got, err, want)
			}
		})
	}
}

func TestSubscriptions(t *testing.T) {
	for _, vec := range readVectors(t).Subscriptions {
		if vec.PacketHex == nil {
			continue // the acknowledgement is plain text
		}
		t.Run(vec.Name, func(t *testing.T) {
			testPacket(t, Limits{Modifiers: []uint8{224}}, vec)
			_, err := ReadRequest(bufio.NewReader(bytes.NewReader(vec.PacketHex)))
			wantCode(t, err, BadModifier)
		})
	}
}

func TestPingAndOtherModifiers(t *testing.T) {
	for _, vec := range readVectors(t).Modifiers {
		t.Run(vec.Name, func(t *testing.T) {
			br := bufio.NewReader(bytes.NewReader(vec.RequestHex))
			req, err := ReadRequest(br)
			switch vec.RequestHex[0] {
			case modifierPing:
				testPing(t, req, err, br)
			case modifierWSGI:
				if err != nil || len(req.Vars) != 0 {
					t.Errorf("empty block: %v, %v; want no vars and no error", req, err)
				}
			default:
				wantCode(t, err, BadModifier)
			}
			if strings.HasPrefix(string(vec.ResponseHex), "\x64") {
				reply, err := ReadRequest(bufio.NewReader(bytes.NewReader(vec.ResponseHex)))
				if err != nil || !reply.IsPing() || reply.Modifier2 != 1 {
					t.Errorf("reply %x: %v, %v; want a pong", vec.ResponseHex, reply, err)
				}
			}
		})
	}
}

func testPing(t *testing.T, req *Request, err error, br *bufio.Reader) {
	t.Helper()
	if err != nil || !req.IsPing() {
		t.Fatalf("request %v, %v; want a ping", req, err)
	}
	if rest, _ := io.ReadAll(br); len(rest) > 0 {
		t.Errorf("left in the reader: %q", rest)
	}
	if Pong != "\x64\x00\x00\x01" {
		t.Errorf("Pong is %x, want 64000001", Pong)
	}
}

// stream plays a connection that sends these bytes and then ends with err.
func stream(b []byte, err error) *bufio.Reader {
	return bufio.NewReader(io.MultiReader(bytes.NewReader(b), failing{err}))
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// bytes returns what the worker sent; of the largest response only the hash and
// the beginning were recorded.
func (vec responseVector) bytes(t *testing.T) []byte {
	t.Helper()
	b := []byte(vec.ResponseHex)
	if vec.HeadHex != nil {
		b = slices.Concat(bytes.TrimRight(vec.HeadHex, "h"), bytes.Repeat([]byte("h"), 60000), []byte("\r\nContent-Length: 3\r\n\r\nok\n"))
		if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != vec.ResponseSHA256 {
			t.Fatal("the response could not be put together again")
		}
	}
	if len(b) != vec.ResponseLen && vec.ResponseLen > 0 {
		t.Fatalf("vector of %d bytes, want %d", len(b), vec.ResponseLen)
	}
	return b
}

func TestWorkerResponses(t *testing.T) {
	for _, vec := range readVectors(t).Responses {
		t.Run(vec.Name, func(t *testing.T) {
			raw := vec.bytes(t)
			end := io.EOF
			if strings.Contains(vec.ConnectionEnd, "ConnectionResetError") {
				end = syscall.ECONNRESET
			}
			br := stream(raw, end)
			resp, err := ReadResponse(br)
			if vec.Expect.GatewayStatus == 502 {
				if !errors.Is(err, end) {
					t.Errorf("error %v, want %v", err, end)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			testWorkerResponse(t, vec, resp, br)
		})
	}
}

func testWorkerResponse(t *testing.T, vec responseVector, resp *Response, br *bufio.Reader) {
	t.Helper()
	want := vec.Expect
	if resp.StatusCode != want.Status {
		t.Errorf("status %d, want %d", resp.StatusCode, want.Status)
	}
	if want.Headers != nil {
		var got [][2]string
		for _, f := range resp.Header {
			got = append(got, [2]string{f.Name, f.Value})
		}
		if !slices.Equal(got, want.Headers) {
			t.Errorf("header %q, want %q", got, want.Headers)
		}
	}
	if want.Framing == "tunnel" {
		testTunnel(t, resp)
		return
	}
	body := resp.Body(br, vec.RequestVars.vars().Get("REQUEST_METHOD"))
	content, err := io.ReadAll(body)
	testBody(t, vec, resp, body, content, err)
}

func testTunnel(t *testing.T, resp *Response) {
	t.Helper()
	resp.Clean()
	if got := resp.Header.Get("Upgrade"); got != "WebSocket" {
		t.Errorf("Upgrade %q after Clean, want WebSocket", got)
	}
	if got := resp.Header.Values("Connection"); !slices.Equal(got, []string{"Upgrade"}) {
		t.Errorf("Connection %q after Clean, want one Upgrade", got)
	}
}

func testBody(t *testing.T, vec responseVector, resp *Response, body *Body, content []byte, err error) {
	t.Helper()
	want := vec.Expect
	framing := map[string]bool{
		"content-length": resp.ContentLength >= 0 && !resp.Chunked,
		"chunked":        resp.Chunked,
		"eof":            resp.ContentLength < 0 && !resp.Chunked && !body.Whole(),
		"none":           len(content) == 0 && body.Whole(),
		"":               true,
	}
	if !framing[want.Framing] {
		t.Errorf("framing is not %s: length %d, chunked %t, whole %t", want.Framing, resp.ContentLength, resp.Chunked, body.Whole())
	}
	switch want.Complete {
	case true:
		if err != nil || !body.Whole() {
			t.Errorf("complete response: whole %t, error %v", body.Whole(), err)
		}
	case false:
		if err != io.ErrUnexpectedEOF || body.Whole() {
			t.Errorf("truncated response: whole %t, error %v", body.Whole(), err)
		}
	case "unknown":
		if err != nil || body.Whole() {
			t.Errorf("response of unknown length: whole %t, error %v", body.Whole(), err)
		}
	}
	if want.Cacheable != nil && *want.Cacheable != (body.Whole() && !body.Surplus()) {
		t.Errorf("whole %t, surplus %t; want cacheable %t", body.Whole(), body.Surplus(), *want.Cacheable)
	}
	if want.BodyForwarded != nil && *want.BodyForwarded != len(content) {
		t.Errorf("body %q, want %d bytes", content, *want.BodyForwarded)
	}
	if want.DecodedBody != nil && *want.DecodedBody != string(content) {
		t.Errorf("body %q, want %q", content, *want.DecodedBody)
	}
}

// wantCode fails unless err is a *FormatError of that code.
func wantCode(t *testing.T, err error, want Code) *FormatError {
	t.Helper()
	fe, ok := errors.AsType[*FormatError](err)
	if !ok || fe.Code != want {
		t.Fatalf("error %v, want the code %s", err, want)
	}
	return fe
}
