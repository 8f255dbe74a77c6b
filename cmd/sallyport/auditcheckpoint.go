package main

import (
	"errors"

	"github.com/spf13/cobra"

	"sallyport/gateway/audit"
)

func (a *app) newAuditKey() *cobra.Command {
	cmd := &cobra.Command{Use: "key", Short: "The public key that verifies the record's checkpoints", Args: cobra.NoArgs,
		Long: "Prints the public key of the record, for those who verify it: `sallyport audit verify --key` and\n" +
			"`verify-proof --key`. Keep it where who runs this machine cannot change it. The record of commands\n" +
			"(<state>/audit-acts) has a key of its own; name it with --log."}
	log := logFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		dir, err := a.logDir(*log)
		if err != nil {
			return err
		}
		key, err := audit.VerifierKey(dir)
		if err != nil {
			return err
		}
		return a.printf("%s\n", key)
	}
	return cmd
}

func (a *app) newAuditCheckpoint() *cobra.Command {
	cmd := &cobra.Command{Use: "checkpoint", Short: "The newest signed checkpoint, for an auditor or a witness to keep", Args: cobra.NoArgs,
		Long: "Prints the newest checkpoint: how many records there are and the root of the tree over them, signed\n" +
			"(C2SP tlog-checkpoint). Kept on another machine, it is what `sallyport audit verify --checkpoint`\n" +
			"holds the record against: who has the directory cannot take back what it says. It tells nothing of\n" +
			"what the records hold."}
	out := cmd.Flags().String("out", "", "write to `FILE` instead of standard output")
	log := logFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		dir, err := a.logDir(*log)
		if err != nil {
			return err
		}
		t, err := audit.OpenTree(dir)
		if err != nil {
			return err
		}
		return errors.Join(a.write(*out, t.Checkpoint.Note), t.Close())
	}
	return cmd
}
