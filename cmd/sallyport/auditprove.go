package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/gateway/audit"
	"sallyport/gateway/audit/reader"
)

func (a *app) newAuditProve() *cobra.Command {
	cmd := &cobra.Command{Use: "prove ID", Short: "A proof that a record is in the log, for another machine", Args: cobra.ExactArgs(1),
		Long: "Writes a proof that a decision is in the record: its line, the hashes between it and the root of\n" +
			"the tree, and the signed checkpoint of that root, in the form of C2SP tlog-proof. Whoever has the\n" +
			"public key checks it with `sallyport audit verify-proof` and nothing else of this installation.\n" +
			"The line shows what the record has of the decision: who, what, and arguments where recorded.",
		Example: "  sallyport audit prove 01M89EBGGRZSBM0WZVWDFGRQPZ --out it.tlog-proof"}
	out := cmd.Flags().String("out", "", "write to `FILE` instead of standard output")
	under := cmd.Flags().String("checkpoint", "", "prove by the checkpoint in `FILE` instead of the newest: by one that witnesses have signed")
	phase := cmd.Flags().String("phase", "", "`PHASE` of the record: decision, refusal or outcome; default: the first there is")
	log := logFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dirs, err := a.logDirs(*log)
		if err != nil {
			return err
		}
		c, err := a.findDecision(dirs, args[0])
		if err != nil {
			return err
		}
		e, err := c.entry(*phase)
		if err != nil {
			return err
		}
		var p reader.Proof
		if *under != "" {
			p, err = a.proveUnder(c.Log, e, *under)
		} else {
			p, err = prove(cmd.Context(), c.Log, e)
		}
		if err != nil {
			return refusal(err)
		}
		return a.write(*out, p.Marshal())
	}
	return cmd
}

// entry is the first record of the phase.
func (c *certified) entry(phase string) (reader.Entry, error) {
	var have []string
	for _, r := range c.Records {
		if phase == "" || r.entry.Record.Phase == phase {
			return r.entry, nil
		}
		have = append(have, plain(r.entry.Record.Phase))
	}
	return reader.Entry{}, errNo{fmt.Sprintf("%s has no record of phase %s; it has %s", c.ID, plain(phase), strings.Join(have, ", "))}
}

// coverWait is how long a proof waits for a running gateway to sign what it has just written.
const (
	coverWait  = 3 * time.Second
	coverRetry = 100 * time.Millisecond
)

func prove(ctx context.Context, dir string, e reader.Entry) (reader.Proof, error) {
	ctx, cancel := context.WithTimeout(ctx, coverWait)
	defer cancel()
	for {
		p, err := proveNow(dir, e)
		if !errors.Is(err, reader.ErrUncovered) {
			return p, err
		}
		select {
		case <-ctx.Done():
			return p, err
		case <-time.After(coverRetry):
		}
	}
}

func proveNow(dir string, e reader.Entry) (reader.Proof, error) {
	t, err := audit.OpenTree(dir)
	if err != nil {
		return reader.Proof{}, err
	}
	p, err := reader.Prove(t, e)
	return p, errors.Join(err, t.Close())
}

func (a *app) proveUnder(dir string, e reader.Entry, path string) (reader.Proof, error) {
	signed, err := a.read(path)
	if err != nil {
		return reader.Proof{}, err
	}
	c, err := reader.ReadCheckpoint(dir, signed)
	if err != nil {
		return reader.Proof{}, errNo{fmt.Sprintf("%s is not a checkpoint of this record: %v", path, err)}
	}
	t, err := audit.OpenTree(dir)
	if err != nil {
		return reader.Proof{}, err
	}
	p, err := reader.ProveUnder(t, e, c)
	return p, errors.Join(err, t.Close())
}

// refusal is the error as an answer, where it is one.
func refusal(err error) error {
	if errors.Is(err, reader.ErrUncovered) || errors.Is(err, reader.ErrNotInTree) || errors.Is(err, reader.ErrNobodys) {
		return errNo{err.Error()}
	}
	return err
}

// write writes a result to a file that nobody else need read, or to standard output.
func (a *app) write(path string, data []byte) error {
	if path == "" {
		return a.printf("%s", data)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

func (a *app) newAuditVerifyProof() *cobra.Command {
	cmd := &cobra.Command{Use: "verify-proof FILE", Short: "Check a proof with nothing but the public key", Args: cobra.ExactArgs(1),
		Long: "Checks what `sallyport audit prove` has written (- for standard input): the record in it is in the\n" +
			"log whose checkpoint the key has signed. Prints the record. It needs no installation. Exits 3 when\n" +
			"the proof does not hold.",
		Example: "  sallyport audit verify-proof it.tlog-proof --key audit.pub"}
	key := keyFlag(cmd)
	asJSON := outputFlag(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		if *key == "" {
			return errUsage{"--key is needed: the public key of the log, from whoever you trust, not from the one who sent the proof"}
		}
		vkey, err := readKey(*key)
		if err != nil {
			return err
		}
		data, err := a.read(args[0])
		if err != nil {
			return err
		}
		p, err := reader.CheckProof(data, vkey)
		if err != nil {
			return errNo{fmt.Sprintf("%s does not hold: %v", args[0], err)}
		}
		return a.printProof(args[0], p, is)
	}
	return cmd
}

func (a *app) read(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(io.LimitReader(a.in, 64<<20))
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err // says which file, and why
	}
	return data, nil
}

func (a *app) printProof(name string, p reader.Proof, asJSON bool) error {
	e, err := p.Entry()
	if err != nil {
		return errNo{fmt.Sprintf("%s holds, but what is proved is not a record", name)}
	}
	if asJSON {
		return a.printJSON(struct {
			Holds  bool            `json:"holds"`
			Leaf   int64           `json:"leaf"`
			Size   int64           `json:"size"`
			Root   string          `json:"root"`
			Origin string          `json:"origin"`
			Record json.RawMessage `json:"record"`
		}{true, p.Index, p.Checkpoint.Size, p.Checkpoint.Root.String(), p.Checkpoint.Origin, p.Line})
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, p.Line, "", "  "); err != nil {
		return fmt.Errorf("print the record: %w", err)
	}
	return a.printf("%s holds: record %d of the %d under a checkpoint of %s, root %s\n%s\n%s\n", name, p.Index+1, p.Checkpoint.Size,
		plain(p.Checkpoint.Origin), p.Checkpoint.Root, lineText(e), pretty.Bytes())
}
