package audit

import (
	"bytes"
	"fmt"
	"path/filepath"
)

// checkpoint signs what is hashed. The hashes are on disk before the checkpoint that is about
// them, and the lines before both, so a checkpoint that anybody holds is about lines that no
// crash can take. With full, it goes into the history too, and what was read is let go.
func (k *keeper) checkpoint(full bool) error {
	if k.at.edge.size < k.signed.Size {
		return fmt.Errorf("the tree has %d lines, fewer than the %d under a checkpoint", k.at.edge.size, k.signed.Size)
	}
	if err := k.write(); err != nil {
		return err
	}
	if err := k.hashes.Sync(); err != nil {
		return fmt.Errorf("write tree: %w", err)
	}
	if full || k.at.index > k.good.index {
		if err := k.index.Sync(); err != nil {
			return fmt.Errorf("write tree: %w", err)
		}
	}
	c := Checkpoint{Origin: k.origin, Size: k.at.edge.size, Root: k.at.edge.root()}
	if c.Size == k.signed.Size && k.signed.Note != nil {
		c = k.signed // also its bytes stay, so that a history does not repeat itself
	} else {
		var err error
		if c, err = c.sign(k.signer); err != nil {
			return fmt.Errorf("sign checkpoint: %w", err)
		}
	}
	if err := k.replace(newestName, c.Note); err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	k.signed = c
	k.good = k.at
	k.good.edge = k.at.edge.clone()
	if full {
		return k.keep(c)
	}
	return nil
}

// keep adds the checkpoint to the history, and lets the segments go that are all under it.
func (k *keeper) keep(c Checkpoint) error {
	history := k.history
	if len(history) == 0 { // else a power cut could leave a history and no newest
		if err := k.o.disk.SyncDir(k.dir); err != nil {
			return fmt.Errorf("keep checkpoint: %w", err)
		}
	}
	// A log that is opened for each record would keep as many checkpoints as records.
	often := k.o.Continue && len(history) > 0 && k.at.span == 0
	if !often && !bytes.HasSuffix(history, append(c.Note[:len(c.Note):len(c.Note)], '\n')) {
		history = append(append(history[:len(history):len(history)], c.Note...), '\n')
		if err := k.replace(historyName, history); err != nil {
			return fmt.Errorf("keep checkpoint: %w", err)
		}
	}
	if err := k.o.disk.SyncDir(k.dir); err != nil { // for the newest checkpoint as well
		return fmt.Errorf("keep checkpoint: %w", err)
	}
	k.history, k.kept = history, k.o.Now()
	k.mu.Lock()
	k.spans = append([]span(nil), k.spans[k.at.span:]...)
	k.mu.Unlock()
	k.at.span, k.good.span = 0, 0
	k.packer.look()
	return nil
}

func (k *keeper) replace(name string, data []byte) error {
	return replaceFile(k.o.disk, filepath.Join(k.dir, name), data)
}

// replaceFile puts a file in the place of another, so that there is always a whole one. Which of
// them is there after a power cut, it does not say.
func replaceFile(d disk, path string, data []byte) error {
	temp := path + ".new"
	f, err := d.Overwrite(temp)
	if err != nil {
		return err
	}
	err = writeAll(f, data)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = d.Rename(temp, path)
	}
	return err
}
