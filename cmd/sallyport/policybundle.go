package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"sallyport/policy"
)

func (a *app) newPolicyBuild() *cobra.Command {
	cmd := &cobra.Command{Use: "build DIR -o FILE", Short: "Make a bundle of a policy directory, and sign it", Args: cobra.ExactArgs(1),
		Long: "Makes one file of a directory, in OPA's bundle format (.tar.gz), if it compiles and passes its\ntests; else exits 3. The file can stand in `policies`, or be served over HTTPS. A gateway with\n" +
			"`policyKey` takes only what is signed. Each bundle needs a higher number than the one before:\na gateway never goes back. Without --number it is the time in seconds since 1970."}
	f := cmd.Flags()
	file := f.StringP("output", "o", "", "`FILE` to write; replaced in one step where there is one")
	sign := f.String("sign", "", "sign with the private key in `KEYFILE` (PEM; Ed25519 or ECDSA on P-256)")
	number := f.Int64("number", 0, "number of the bundle")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *file == "" {
			return errUsage{"build: name the file to write: -o bundle.tar.gz"}
		}
		o := policy.BuildOptions{Number: *number}
		if !cmd.Flags().Changed("number") {
			o.Number = time.Now().Unix()
		} else if *number <= 0 {
			return errUsage{fmt.Sprintf("--number %d: want 1 or more", *number)}
		}
		if *sign != "" {
			var err error
			if o.Key, err = os.ReadFile(*sign); err != nil {
				return fmt.Errorf("read signing key: %w", err)
			}
		}
		built, err := policy.Build(cmd.Context(), args[0], o)
		if errors.Is(err, policy.ErrSigningKey) {
			return fmt.Errorf("%s: %w", *sign, err)
		}
		if err != nil {
			return errNo{err.Error()}
		}
		if err := replaceFile(*file, built.Raw); err != nil {
			return err
		}
		by := "not signed"
		if built.Key != "" {
			by = "signed by " + built.Key
		}
		return a.printf("%s: number %d, %d files, %s (%s)\n", *file, built.Number, built.Files, by, built.Revision)
	}
	return cmd
}

// replaceFile writes a file beside its place and puts it there in one step: whoever serves or
// watches it sees the old one or the new one.
func replaceFile(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".bundle-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

func (a *app) newPolicyVerify() *cobra.Command {
	cmd := &cobra.Command{Use: "verify BUNDLE [--key FILE]", Short: "Say whether a bundle is signed by a key, whole and unchanged", Args: cobra.ExactArgs(1),
		Long: "Reads a bundle, or a directory that one was unpacked to, or what a URL has, as a\ngateway with this `policyKey` would, and compiles and tests it. Without --key it is that of the\nconfiguration. Exits 3 where the gateway would refuse it."}
	asJSON := outputFlag(cmd)
	key := cmd.Flags().String("key", "", "`FILE` of public keys (PEM); one of them must have signed")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		keys, ca, err := a.verifyKeys(*key)
		if err != nil {
			return err
		}
		where, err := a.onThisMachine(args[0], ca)
		if err != nil {
			return err
		}
		g, err := policy.Load(cmd.Context(), where, policy.Options{Keys: keys})
		if err != nil {
			return errNo{err.Error()}
		}
		b := g.Bundle()
		if is {
			return a.printJSON(map[string]any{"bundle": args[0], "number": b.Number, "key": b.Key, "revision": g.Revision()})
		}
		return a.printf("%s: number %d, signed by %s (%s)\n", args[0], b.Number, b.Key, g.Revision())
	}
	return cmd
}

// verifyKeys are the keys in a file, or those of the configuration, with what its URL is asked with.
func (a *app) verifyKeys(file string) (keys policy.Keys, ca string, err error) {
	if file != "" {
		keys, err = readKeys(file)
		return keys, a.env["SALLYPORT_POLICY_CA"], err
	}
	if a.file == "" && a.env["SALLYPORT_CONFIG"] == "" {
		return nil, "", errUsage{"verify: name the file of the public key (--key KEY.pub), or a configuration with policyKey (--config FILE)"}
	}
	cfg, err := a.load()
	if err != nil {
		return nil, "", err
	}
	if keys, err = cfg.PolicyKeys(); err == nil && keys == nil {
		err = errUsage{fmt.Sprintf("verify: %s has no policyKey; name the file of the public key: --key KEY.pub", cfg.File())}
	}
	return keys, cfg.PolicyCA, err
}

func readKeys(file string) (policy.Keys, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read public keys: %w", err)
	}
	keys, err := policy.ReadKeys(text)
	if err != nil {
		return nil, fmt.Errorf("public keys in %s: %w", file, err)
	}
	return keys, nil
}

func (a *app) newPolicyKeygen() *cobra.Command {
	cmd := &cobra.Command{Use: "keygen FILE", Short: "Make a pair of keys that sign and verify bundles", Args: cobra.ExactArgs(1),
		Long: "Writes a private key (Ed25519, PEM) to FILE, which nobody else may read, and its public key to\nFILE.pub. `policy build --sign FILE` signs; `policyKey: FILE.pub` makes a gateway take nothing\nelse. A file that is there already is not replaced."}
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		private, public, id, err := policy.NewKeys()
		if err != nil {
			return err
		}
		if err := writeNew(args[0], private, 0o600); err != nil {
			return err
		}
		if err := writeNew(args[0]+".pub", public, 0o644); err != nil {
			return errors.Join(err, os.Remove(args[0])) // nobody could verify what it signs
		}
		a.say("%s signs and stays with who signs; %s.pub goes into policyKey", args[0], args[0])
		return a.printf("%s\n", id)
	}
	return cmd
}

func writeNew(name string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already; a key that is replaced can verify nothing that it has signed", name)
	}
	if err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
