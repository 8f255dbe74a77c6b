package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"sallyport/gateway/audit"
	"sallyport/gateway/audit/reader"
)

func (a *app) newAuditPrune() *cobra.Command {
	cmd := &cobra.Command{Use: "prune --before CHECKPOINT|TIME", Short: "Remove the oldest segments and keep the tree over them", Args: cobra.NoArgs,
		Long: "Removes whole segments, oldest first, whose records are all under a checkpoint that was kept (a file,\n" +
			"as `sallyport audit checkpoint` writes it), or all older than a time. Their hashes stay in the tree,\n" +
			"and a signed note says that they were pruned: the rest verifies as before, and a copy of what went\n" +
			"can be proved to be it. Copy the segments away first. The segment with the newest record stays.\n\n" +
			"Without --yes it only says what would go. A gateway may run meanwhile. The act is in the record of\n" +
			"commands; with --log, which names no installation, it is not.",
		Example: "  sallyport audit prune --before 90d\n  sallyport audit prune --before january --yes"}
	before := cmd.Flags().String("before", "", "`CHECKPOINT` file, or time: RFC 3339, a day, or how long ago (90d)")
	yes := cmd.Flags().Bool("yes", false, "do it")
	log := logFlag(cmd)
	asJSON := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		if *before == "" {
			return errUsage{"--before is needed: a checkpoint that was kept, or a time"}
		}
		dir, err := a.logDir(*log)
		if err != nil {
			return err
		}
		o, err := pruneOptions(dir, *before)
		if err != nil {
			return err
		}
		o.Try = true
		ranges, err := audit.Prune(dir, o)
		if err == nil && *yes && len(ranges) > 0 {
			o.Try = false
			ranges, err = a.prune(cmd.Context(), dir, *log, o, ranges)
		}
		if err != nil {
			return err
		}
		if is {
			return a.printJSON(pruned{Done: *yes, Pruned: append([]audit.Range{}, ranges...)})
		}
		return a.printPruned(ranges, *yes)
	}
	return cmd
}

type pruned struct {
	Done   bool          `json:"done"`
	Pruned []audit.Range `json:"pruned"`
}

// prune records the act before it is done.
func (a *app) prune(ctx context.Context, dir, named string, o audit.PruneOptions, ranges []audit.Range) ([]audit.Range, error) {
	if named == "" {
		cfg, err := a.load()
		if err != nil {
			return nil, err
		}
		who := fmt.Sprintf("uid %d", os.Getuid())
		r := audit.Record{Method: "audit/prune", Decision: "allow", Code: "ok", Source: who,
			Detail: fmt.Sprintf("records %d to %d, in %d segments", ranges[0].From+1, ranges[len(ranges)-1].To, len(ranges))}
		if err := cfg.RecordAct(ctx, &r); err != nil {
			return nil, err
		}
	}
	return audit.Prune(dir, o)
}

func pruneOptions(dir, before string) (audit.PruneOptions, error) {
	signed, err := os.ReadFile(before)
	if err == nil {
		c, err := reader.ReadCheckpoint(dir, signed)
		if err != nil {
			return audit.PruneOptions{}, errNo{fmt.Sprintf("%s is not a checkpoint of this record: %v", before, err)}
		}
		return audit.PruneOptions{Before: c.Size}, nil
	}
	until, err := moment("before", before, time.Now())
	if err != nil {
		return audit.PruneOptions{}, errUsage{fmt.Sprintf("--before %s: no such file; want a checkpoint that was kept, or a time as 2026-01-15T09:00:00Z, a day, or how long ago as 90d", plain(before))}
	}
	t, err := audit.OpenTree(dir)
	if err != nil {
		return audit.PruneOptions{}, err
	}
	return audit.PruneOptions{Before: t.Checkpoint.Size, Until: until}, t.Close()
}

func (a *app) printPruned(ranges []audit.Range, done bool) error {
	if len(ranges) == 0 {
		return a.printf("nothing to prune: no segment is all before that\n")
	}
	word := "would go"
	if done {
		word = "removed"
	}
	for _, r := range ranges {
		if err := a.printf("%s  records %d to %d  %s\n", r.Segment, r.From+1, r.To, word); err != nil {
			return err
		}
	}
	if !done {
		a.say("nothing was removed; copy the segments away, and add --yes")
	}
	return nil
}

func (a *app) newAuditWitness() *cobra.Command {
	cmd := &cobra.Command{Use: "witness FILE", Short: "Keep a checkpoint that witnesses have signed", Args: cobra.ExactArgs(1),
		Long: "Takes a checkpoint of this record that has come back from witnesses (- for standard input), with\n" +
			"their signatures (C2SP tlog-cosignature), and keeps it beside the record, for each witness the\n" +
			"newest. `sallyport audit verify --witness` requires it. A checkpoint that the tree does not have is\n" +
			"refused, which exits 3: somebody was shown another record."}
	keys := cmd.Flags().StringArray("witness", nil, "`VKEY` or file of a witness; with it, one of those named must have signed")
	log := logFlag(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		dir, err := a.logDir(*log)
		if err != nil {
			return err
		}
		var vkeys []string
		for _, named := range *keys {
			key, err := readKey(named)
			if err != nil {
				return err
			}
			vkeys = append(vkeys, key)
		}
		signed, err := a.read(args[0])
		if err != nil {
			return err
		}
		c, err := audit.WitnessCheckpoint(dir, signed, vkeys...)
		if _, io := errors.AsType[*fs.PathError](err); io || errors.Is(err, audit.ErrLocked) {
			return err
		}
		if err != nil {
			return errNo{fmt.Sprintf("%s is refused: %v", args[0], err)}
		}
		return a.printf("kept: a checkpoint of %d records, root %s\n", c.Size, c.Root)
	}
	return cmd
}
