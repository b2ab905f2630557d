package ledger

// CallRows are rows of one call.
type CallRows struct {
	Call string // tenant/call
	Rows []RowRef
}

// notes are the runs of observe.lua for some rows, one for each call however the
// rows are given: what a note costs does hardly depend on its length.
func notes(b Batch, rows []CallRows) []scriptCall {
	var calls []string
	entries := make(map[string][]byte, len(rows))
	for _, c := range rows {
		text, known := entries[c.Call]
		if !known {
			calls = append(calls, c.Call)
		}
		for _, r := range c.Rows {
			for _, k := range r.Keys {
				text = appendEntry(text, k, b.Seq(r.N))
			}
		}
		entries[c.Call] = text
	}
	again := 1
	if b.fresh {
		again = 0
	}
	runs := make([]scriptCall, len(calls))
	for i, call := range calls {
		runs[i] = scriptCall{keys: []string{newestKey(call)}, args: []any{seconds(b.keyLife()), entries[call], again}}
	}
	return runs
}
