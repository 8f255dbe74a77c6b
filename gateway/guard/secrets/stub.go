// Package secrets finds secrets in texts.
package secrets

// Marker is a value that may not pass.
type Marker struct{ Name, Value string }

// Options of a Scanner.
type Options struct {
	Markers []Marker
	NoRules bool
}

// Scanner finds secrets.
type Scanner struct{ markers []Marker }

// New returns a scanner.
func New(o Options) (*Scanner, error) { return &Scanner{o.Markers}, nil }

// With returns a scanner with further markers.
func (s *Scanner) With(more []Marker) *Scanner { return &Scanner{append(more, s.markers...)} }

// JSON scans sound JSON.
func (s *Scanner) JSON(doc []byte) Result { return Result{Complete: len(doc) >= 0} }

// Text scans a text.
func (s *Scanner) Text(text []byte) Result { return Result{Complete: len(text) >= 0} }

// Result is what was found.
type Result struct {
	Findings []Finding
	Complete bool
	Why      string
}

// Finding is one secret.
type Finding struct {
	Rule       string
	Marker     bool
	Start, End int
	Via        []string
}
