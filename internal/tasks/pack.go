package tasks

import (
	"rollcall/internal/graph"
	"rollcall/internal/roster"
)

const (
	// rowsPerPack is how many rows one task of the queue takes up at once: what the
	// queue and the ledger cost is per task, and shared by as many.
	rowsPerPack = 20
	// maxOpenRows bounds the rows that wait for their pack to fill, and so the
	// memory of packing, whatever the size and order of the file.
	maxOpenRows = 4096
)

// pack is the rows of one task: one call, one action.
type pack struct {
	n      int64 // its number in the batch, from 0
	call   string
	action roster.Action
	rows   []roster.Change
}

// packer groups rows into packs. Which rows share a pack, and its number,
// depend only on the rows and their order: enqueueing again, retrying and
// sweeping all arrive at the same task ids.
type packer struct {
	emit   func(*pack) error
	open   map[packKey]*pack
	order  []*pack // open packs, oldest first; full ones linger as nil rows
	waits  int
	opened int64
}

type packKey struct {
	call   string
	action roster.Action
}

func newPacker(emit func(*pack) error) *packer {
	return &packer{emit: emit, open: map[packKey]*pack{}}
}

func (p *packer) add(c roster.Change) error {
	key := packKey{call: c.CallKey(), action: c.Action}
	k := p.open[key]
	if k == nil {
		k = &pack{n: p.opened, call: key.call, action: c.Action}
		p.opened++
		p.open[key] = k
		p.order = append(p.order, k)
	}
	k.rows = append(k.rows, c)
	p.waits++
	if k.full() {
		return p.close(k)
	}
	if p.waits >= maxOpenRows {
		return p.closeOldest()
	}
	return nil
}

func (k *pack) full() bool { return len(k.rows) >= rowsPerPack }

// rounds is how many rounds of work at Graph the pack is, which is what users are
// told as tasks: a request for some invites, or some deletes.
func (k *pack) rounds() int64 {
	if k.action == roster.Invite {
		return int64((len(k.rows) + graph.MaxInvitees - 1) / graph.MaxInvitees)
	}
	return 1
}

func (p *packer) close(k *pack) error {
	delete(p.open, packKey{call: k.call, action: k.action})
	p.waits -= len(k.rows)
	done := *k
	k.rows = nil
	if len(p.order) > 2*len(p.open)+16 {
		p.compact()
	}
	return p.emit(&done)
}

func (p *packer) compact() {
	kept := p.order[:0]
	for _, k := range p.order {
		if k.rows != nil {
			kept = append(kept, k)
		}
	}
	clear(p.order[len(kept):])
	p.order = kept
}

func (p *packer) closeOldest() error {
	for i, k := range p.order {
		if k.rows != nil {
			p.order = p.order[i:]
			return p.close(k)
		}
	}
	return nil
}

// flush closes the packs that are still open, oldest first.
func (p *packer) flush() error {
	open := p.order
	p.order = nil
	for _, k := range open {
		if k.rows == nil {
			continue
		}
		if err := p.close(k); err != nil {
			return err
		}
	}
	return nil
}
