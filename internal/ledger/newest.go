package ledger

// CallRows are rows of one call.
type CallRows struct {
	Call string // tenant/call
	Rows []RowRef
}

// note is what observe.lua is told of one call.
type note struct {
	call    string
	life    int64
	entries []byte
}

func (n *note) keys() []string { return []string{newestKey(n.call)} }
func (n *note) args() []any    { return []any{n.life, n.entries} }

// newNotes gathers the rows by call, however they are given: what a note costs
// does hardly depend on its length.
func newNotes(b Batch, calls []CallRows) []*note {
	var notes []*note
	of := make(map[string]*note, len(calls))
	for _, c := range calls {
		n := of[c.Call]
		if n == nil {
			n = &note{call: c.Call, life: seconds(b.keyLife())}
			of[c.Call] = n
			notes = append(notes, n)
		}
		for _, r := range c.Rows {
			for _, k := range r.Keys {
				n.entries = appendEntry(n.entries, k, b.Seq(r.N))
			}
		}
	}
	return notes
}
