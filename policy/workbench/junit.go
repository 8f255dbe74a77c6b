package workbench

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"sallyport/policy"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
	elapsed  time.Duration
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	File    string        `xml:"file,attr"`
	Line    int           `xml:"line,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitMessage `xml:"failure"`
	Error   *junitMessage `xml:"error"`
	Skipped *struct{}     `xml:"skipped"`
	Output  string        `xml:"system-out,omitempty"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes a test report in the XML that CI servers read: a suite for each file, the time in
// seconds. failure is what is wrong with the whole, as a policy that does not compile; it becomes a
// test that failed, since a CI server that reads of no failure takes the run for good.
func JUnit(w io.Writer, name string, report *policy.TestReport, failure string) error {
	all := junitSuites{Name: name, Tests: len(report.Results), Failures: report.Count(policy.TestFailed),
		Errors: report.Count(policy.TestErred), Skipped: report.Count(policy.TestSkipped)}
	elapsed := time.Duration(0)
	for _, r := range report.Results { // they are sorted by file
		n := len(all.Suites)
		if n == 0 || all.Suites[n-1].Name != r.File {
			all.Suites = append(all.Suites, junitSuite{Name: r.File})
			n++
		}
		all.Suites[n-1].add(&r)
		elapsed += r.Duration
	}
	if failure != "" {
		s := junitSuite{Name: name}
		s.add(&policy.TestResult{Name: "the policy", File: name, Outcome: policy.TestFailed, Detail: failure})
		all.Suites, all.Tests, all.Failures = append(all.Suites, s), all.Tests+1, all.Failures+1
	}
	all.Time = seconds(elapsed)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return fmt.Errorf("write JUnit: %w", err)
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return fmt.Errorf("write JUnit: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (s *junitSuite) add(r *policy.TestResult) {
	c := junitCase{Class: r.File, Name: strings.TrimPrefix(r.Name, r.File+": "), File: r.File, Line: r.Line, Time: seconds(r.Duration), Output: r.Output}
	first, _, _ := strings.Cut(r.Detail, "\n")
	message := &junitMessage{first, fmt.Sprintf("%s:%d: %s", r.File, r.Line, r.Detail)}
	if r.Line == 0 {
		message.Text = r.Detail
	}
	s.Tests++
	switch r.Outcome {
	case policy.TestFailed:
		c.Failure = message
		s.Failures++
	case policy.TestErred:
		c.Error = message
		s.Errors++
	case policy.TestSkipped:
		c.Skipped = &struct{}{}
		s.Skipped++
	}
	s.Cases = append(s.Cases, c)
	s.elapsed += r.Duration
	s.Time = seconds(s.elapsed)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.6f", d.Seconds()) }
