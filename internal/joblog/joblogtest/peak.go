package joblogtest

import (
	"runtime"
	"time"
)

// Peak is by how many bytes the heap grew at the most while f ran, garbage included.
func Peak(f func()) uint64 {
	runtime.GC()
	base := heap()
	stop, peak := make(chan struct{}), make(chan uint64)
	go func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		most := base
		for {
			select {
			case <-stop:
				peak <- max(most, heap()) - base
				return
			case <-tick.C:
				most = max(most, heap())
			}
		}
	}()
	f()
	close(stop)
	return <-peak
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
