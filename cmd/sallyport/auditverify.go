package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/gateway/audit"
)

func (a *app) newAuditVerify() *cobra.Command {
	cmd := &cobra.Command{Use: "verify [DIR]", Short: "Whether the record is as it was written: whole, unchanged, in order", Args: cobra.MaximumNArgs(1),
		Long: "Reads every line of the record and holds it against the signed checkpoints: those beside it, and\n" +
			"those that an auditor has kept elsewhere. Nothing was altered, removed, inserted, reordered or\n" +
			"forked since any of them, or it says in which file and line. It needs the directory and the public\n" +
			"key, no network and no gateway; a gateway may write meanwhile.\n\n" +
			"Without --key it takes the key that lies in the state directory, and says so: whoever could change\n" +
			"the record there could change the key. An auditor keeps `sallyport audit key` and now and then\n" +
			"`sallyport audit checkpoint` on another machine.\n\n" +
			"With nothing named it verifies the record of the gateway and that of commands, each by its own key.\n" +
			"Exits 3 when one does not verify.",
		Example: "  sallyport audit verify\n  sallyport audit verify /mnt/copy/audit --key audit.pub --checkpoint january"}
	key := keyFlag(cmd)
	checkpoints := cmd.Flags().StringArray("checkpoint", nil, "`FILE` with a checkpoint that was kept elsewhere; may be given again")
	witnesses := cmd.Flags().StringArray("witness", nil, "`VKEY` or file of a witness that must have signed a checkpoint; may be given again")
	asJSON := outputFlag(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		dirs, err := a.toVerify(args, *key != "" || len(*checkpoints)+len(*witnesses) > 0)
		if err != nil {
			return err
		}
		o, err := verifyOptions(*checkpoints, *witnesses)
		if err != nil {
			return err
		}
		var out verified
		out.Verifies = true
		for _, dir := range dirs {
			log, err := verifyLog(dir, *key, o)
			if err != nil {
				return err
			}
			out.Logs = append(out.Logs, log)
			out.Verifies = out.Verifies && log.Verifies
		}
		if is {
			err = a.printJSON(out)
		} else {
			err = a.printf("%s", out.text())
		}
		return orElse(err, func() error { return no(!out.Verifies) })
	}
	return cmd
}

func keyFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("key", "", "`VKEY` that verifies checkpoints, or a file that holds it, as `sallyport audit key` prints it")
}

// toVerify are the logs that a key belongs to: each has one of its own.
func (a *app) toVerify(args []string, one bool) ([]string, error) {
	named := ""
	if len(args) == 1 {
		named = args[0]
	}
	if one || named != "" {
		dir, err := a.logDir(named)
		return []string{dir}, err
	}
	return a.logDirs("")
}

func verifyOptions(checkpoints, witnesses []string) (audit.VerifyOptions, error) {
	var o audit.VerifyOptions
	for _, path := range checkpoints {
		signed, err := os.ReadFile(path)
		if err != nil {
			return o, fmt.Errorf("read a checkpoint: %w", err)
		}
		o.Checkpoints = append(o.Checkpoints, audit.Kept{Name: path, Note: signed})
	}
	for _, w := range witnesses {
		key, err := readKey(w)
		if err != nil {
			return o, err
		}
		o.Witnesses = append(o.Witnesses, key)
	}
	return o, nil
}

// readKey reads a key from a file of that name, or takes it as it is.
func readKey(named string) (string, error) {
	raw, err := os.ReadFile(named)
	if err == nil {
		return strings.TrimSpace(string(raw)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) && !strings.Contains(named, "+") { // a key may be no name of a file at all
		return "", fmt.Errorf("read a key: %w", err)
	}
	if strings.Count(named, "+") < 2 {
		return "", fmt.Errorf("%s is neither a file nor a key as name+hash+base64; `sallyport audit key` prints that of a record", plain(named))
	}
	return strings.TrimSpace(named), nil
}

// keyOf is the key that was given for a log, or the one that lies in its state directory.
func keyOf(dir, given string) (key string, own bool, err error) {
	if given != "" {
		key, err = readKey(given)
		return key, false, err
	}
	key, err = audit.VerifierKey(dir)
	if err != nil {
		return "", true, errors.Join(err, errors.New("name the key with --key: `sallyport audit key` prints it where the record was written"))
	}
	return key, true, nil
}

type verified struct {
	Verifies bool          `json:"verifies"`
	Logs     []verifiedLog `json:"logs"`
}

type verifiedLog struct {
	Log      string `json:"log"`
	Verifies bool   `json:"verifies"`
	OwnKey   bool   `json:"own_key"` // the key lies beside the record
	Key      string `json:"key"`
	audit.Report
}

func verifyLog(dir, given string, o audit.VerifyOptions) (verifiedLog, error) {
	out := verifiedLog{Log: dir}
	var err error
	if o.Key, out.OwnKey, err = keyOf(dir, given); err != nil {
		return out, err
	}
	out.Key = o.Key
	if out.Report, err = audit.Verify(dir, o); err != nil {
		return out, fmt.Errorf("verify %s: %w", dir, err)
	}
	out.Verifies = len(out.Problems) == 0
	// Empty, and not null, for those who read it in other languages.
	out.Pruned, out.Witnessed = append([]audit.Range{}, out.Pruned...), append([]audit.Witness{}, out.Witnessed...)
	out.Notes, out.Problems = append([]string{}, out.Notes...), append([]audit.Problem{}, out.Problems...)
	return out, nil
}

func (v verified) text() string {
	var b strings.Builder
	for _, log := range v.Logs {
		log.write(&b)
	}
	return b.String()
}

func (l verifiedLog) write(b *strings.Builder) {
	line := func(format string, args ...any) { fmt.Fprintf(b, "  "+format+"\n", args...) }
	if !l.Verifies {
		fmt.Fprintf(b, "%s does NOT verify\n", l.Log)
		for _, p := range l.Problems {
			line("%s", p)
		}
		if l.More > 0 {
			line("and %d more", l.More)
		}
	} else {
		fmt.Fprintf(b, "%s verifies\n", l.Log)
	}
	line("%d records, %d segments read, %d checkpoints compared; the key is %s", l.Records, l.Segments, l.Checkpoints, l.Key)
	switch {
	case !l.Verifies:
		line("the newest checkpoint that agrees with what is here signed %d records", l.Size)
	case l.After > 0:
		line("the newest checkpoint signed %d records, root %s; %d came later and are proved by nothing yet", l.Size, l.Root, l.After)
	default:
		line("the newest checkpoint signed %d records, root %s", l.Size, l.Root)
	}
	for _, r := range l.Pruned {
		line("%s", r)
	}
	for _, w := range l.Witnessed {
		line("witnessed by %s at %d records, %s", plain(w.Name), w.Size, w.Time.UTC().Format("2006-01-02T15:04:05Z"))
	}
	for _, n := range l.Notes {
		line("%s", n)
	}
	if l.OwnKey {
		line("the key lies beside the record: who keeps it elsewhere (--key) need not trust this machine")
	}
}
