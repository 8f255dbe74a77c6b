package config

import (
	"fmt"

	"sallyport/gateway"
	"sallyport/gateway/audit"
	"sallyport/gateway/audit/inputs"
)

// Audit is about what the record keeps besides decisions and what came of them.
type Audit struct {
	// Whether the full input of each decision of the policy is kept, arguments included, so that it
	// can be decided again (`sallyport policy replay`). `none`; `clear`: as it is, without the secrets
	// that are found; `sealed`: for `recipients` only. What `system.log.mask` of the policies erases is
	// in neither. A change is taken at the next start.
	Inputs string `yaml:"inputs" env:"INPUTS" default:"none"`
	// Who can open sealed inputs: age recipients (`age1…`). Their identities, as `age-keygen` writes
	// them, belong on another machine.
	Recipients []string `yaml:"recipients" env:"RECIPIENTS"`
	// Size up to which an input is kept. The record of a larger one says that it is missing.
	InputBytes Size `yaml:"inputBytes" env:"INPUT_BYTES" default:"64KiB" min:"1KiB" max:"4MiB"`
}

// Values of audit.inputs.
const (
	inputsNone   = "none"
	inputsClear  = "clear"
	inputsSealed = "sealed"
)

func (c *Config) checkAudit(p *problems) {
	switch c.Audit.Inputs {
	case inputsNone, inputsClear:
		if len(c.Audit.Recipients) > 0 {
			p.key("audit.recipients", "nobody needs them while audit.inputs is %s; set audit.inputs to sealed, or take them out", c.Audit.Inputs)
		}
	case inputsSealed:
		if err := inputs.CheckRecipients(c.Audit.Recipients); err != nil {
			p.key("audit.recipients", "%s", err)
		}
	default:
		p.key("audit.inputs", "%q is none of none, clear and sealed", c.Audit.Inputs)
	}
}

// text is the same for equal settings.
func (a *Audit) text() string { return fmt.Sprintf("%s %q %d", a.Inputs, a.Recipients, a.InputBytes) }

// keeper is what keeps the inputs of decisions, or nil, and the records that begin each segment of
// the log.
func (c *Config) keeper() (keep gateway.Inputs, preamble func() []*audit.Record, err error) {
	switch c.Audit.Inputs {
	case inputsClear:
		return inputs.Clear{}, nil, nil
	case inputsSealed:
		sealed, err := inputs.Seal(c.Audit.Recipients)
		if err != nil {
			return nil, nil, err
		}
		return sealed, func() []*audit.Record { return []*audit.Record{sealed.Record()} }, nil
	}
	return nil, nil, nil
}
