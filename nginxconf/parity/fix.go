package parity

// A Fix is what to do about a finding. The zero Fix is nothing.
type Fix struct {
	Text string // for people: the lines to write, the flags to give, or advice
}

// String returns the text.
func (f Fix) String() string { return f.Text }

// advice is for people alone.
func advice(text string) Fix { return Fix{Text: text} }
