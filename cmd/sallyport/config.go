package main

import (
	"errors"

	"github.com/spf13/cobra"

	"sallyport/gateway/config"
)

func (a *app) newConfig() *cobra.Command {
	return group("config", "Check the configuration, or show what it comes to", a.newConfigCheck(), a.newConfigShow())
}

func (a *app) newConfigCheck() *cobra.Command {
	cmd := &cobra.Command{Use: "check", Short: "Say what is wrong with the configuration, with file and line", Args: cobra.NoArgs,
		Long: "Reads the configuration and the files that it names: certificates, credentials, the\n" +
			"policy directory. Policies are compiled by `sallyport policy check`.\nExits 3 when something is wrong."}
	asJSON := outputFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		cfg, err := config.Load(a.file, a.env)
		if err == nil {
			err = cfg.CheckFiles()
		}
		problems, ok := errors.AsType[config.Problems](err)
		if err != nil && !ok {
			return err
		}
		if is {
			if problems == nil {
				problems = config.Problems{}
			}
			return errors.Join(a.printJSON(problems), no(len(problems) > 0))
		}
		for _, p := range problems {
			if err := a.printf("%s\n", p); err != nil {
				return err
			}
		}
		if len(problems) > 0 {
			return errors.Join(errNo{}, a.hint())
		}
		for _, note := range cfg.Notes() {
			a.say("%s", note)
		}
		return a.printf("%s: fine\n", name(cfg))
	}
	return cmd
}

// no is the answer where it is so, without words.
func no(is bool) error {
	if is {
		return errNo{}
	}
	return nil
}

func name(cfg *config.Config) string {
	if cfg.File() == "" {
		return "the environment"
	}
	return cfg.File()
}

func (a *app) newConfigShow() *cobra.Command {
	cmd := &cobra.Command{Use: "show", Short: "Print the effective configuration, secrets masked", Args: cobra.NoArgs}
	asJSON := outputFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		is, err := asJSON()
		if err != nil {
			return err
		}
		cfg, err := a.load()
		if err != nil {
			return err
		}
		show := cfg.Show
		if is {
			show = cfg.ShowJSON
		}
		text, err := show()
		if err != nil {
			return err
		}
		if is {
			text = append(text, '\n')
		}
		_, err = a.out.Write(text)
		return err
	}
	return cmd
}
