package grant

// owner is whose grants are counted together.
type owner struct{ issuer, subject string }

// Holding is what one subject has, ended grants included, which are known for a day.
type Holding struct {
	Grants int
	Bytes  int // of their texts and schemas, about
}

// Holding returns what a subject of an issuer has. It is for who gives out grants, to bound it.
func (r *Registry) Holding(issuer, subject string) Holding {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held[owner{issuer, subject}]
}

// weigh adds a grant to what its subject has, or takes it away. r.mu is held. What it counts never
// changes in a grant.
func (r *Registry) weigh(g *Grant, sign int) {
	bytes := len(g.ID) + len(g.Task) + len(g.Reason) + len(g.ClientID)
	for _, list := range [][]string{g.Actors, g.Roles, g.Tools} {
		for _, s := range list {
			bytes += len(s)
		}
	}
	for _, c := range g.Args {
		bytes += len(c.Tools) + len(c.Schema) + len(c.Rego)
	}
	for _, b := range g.Budgets {
		bytes += len(b.Tools)
	}
	key := owner{g.Issuer, g.Subject}
	h := r.held[key]
	h.Grants += sign
	h.Bytes += sign * bytes
	if h.Grants <= 0 {
		delete(r.held, key)
		return
	}
	r.held[key] = h
}
