package tasks

import (
	"strconv"
	"testing"
)

func TestDistinct(t *testing.T) {
	for name, setup := range map[string]func(*testing.T, *distinct){
		"in memory":       func(*testing.T, *distinct) {},
		"in a file":       func(_ *testing.T, d *distinct) { d.most = 100 },
		"without a place": func(t *testing.T, d *distinct) { d.most = 100; t.Setenv("TMPDIR", "/nowhere") },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDistinct()
			setup(t, d)
			for i := range 10_000 {
				if err := d.add(strconv.Itoa(i / 2 % 1234)); err != nil {
					t.Fatal(err)
				}
			}
			if n, err := d.count(); n != 1234 || err != nil {
				t.Errorf("counted %d, %v", n, err)
			}
			if (d.file != nil) != (name == "in a file") {
				t.Errorf("file %v", d.file)
			}
			if err := d.close(); err != nil {
				t.Error(err)
			}
		})
	}
}
