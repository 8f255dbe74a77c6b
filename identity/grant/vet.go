package grant

// Check returns the error for which Create would refuse g now, and makes nothing. Who must put an
// act on record before it takes effect asks it first, so that the record has acts alone.
func (r *Registry) Check(g Grant) error {
	if err := r.fresh(); err != nil {
		return err
	}
	g = g.clone()
	if g.ID == "" {
		g.ID = NewID()
	}
	g.State, g.Rev = Active, 0
	l, err := r.propose(&g, r.now())
	if err != nil {
		return err
	}
	r.withdraw(l)
	return nil
}
