package tasks

import (
	"strconv"
	"testing"
)

func TestDistinct(t *testing.T) {
	for name, setup := range map[string]func(*testing.T, *distinct){
		"in memory":       func(_ *testing.T, d *distinct) { d.all.most = 1 << 20 },
		"in a file":       func(_ *testing.T, d *distinct) { d.all.most = 10 },
		"without a place": func(t *testing.T, d *distinct) { d.all.most = 10; t.Setenv("TMPDIR", "/nowhere") },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDistinct()
			setup(t, d)
			const calls = 150_000
			for i := range 2 * calls {
				if err := d.add(strconv.Itoa(i / 2 % calls)); err != nil {
					t.Fatal(err)
				}
				if i == calls { // most of them are no more remembered
					clear(d.recent)
				}
			}
			for i := range calls {
				if err := d.add(strconv.Itoa(i)); err != nil {
					t.Fatal(err)
				}
			}
			if n, err := d.count(); n != calls || err != nil {
				t.Errorf("counted %d, %v", n, err)
			}
			if (d.all.file != nil) != (name == "in a file") {
				t.Errorf("file %v", d.all.file)
			}
			if err := d.close(); err != nil {
				t.Error(err)
			}
		})
	}
}
