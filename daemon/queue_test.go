package daemon

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/tokenbridge/tokend/ipc"
)

func TestQueueIsInOrderAndTellsPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q queues
		first, err := q.enter(t.Context(), "reader", "1", func(int) { t.Error("the first has no place to be told") })
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []int
		places := make([][]int, 3)
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				leave, err := q.enter(t.Context(), "reader", "1", func(p int) {
					mu.Lock()
					defer mu.Unlock()
					places[i] = append(places[i], p)
				})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				synctest.Wait()
				leave()
			})
			synctest.Wait()
		}
		first()
		first() // leaving twice is leaving once
		wg.Wait()
		if !slices.Equal(order, []int{0, 1, 2}) {
			t.Errorf("served in order %v", order)
		}
		for i, want := range [][]int{{1}, {2, 1}, {3, 2, 1}} {
			if !slices.Equal(places[i], want) {
				t.Errorf("waiter %d was told places %v, want %v", i, places[i], want)
			}
		}
		if len(q.places) != 0 {
			t.Errorf("%d queues are left", len(q.places))
		}
	})
}

func TestQueueForgetsWhoLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q queues
		first, err := q.enter(t.Context(), "reader", "1", nil)
		if err != nil {
			t.Fatal(err)
		}
		gone := errors.New("the client went away")
		ctx, cancel := context.WithCancelCause(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := q.enter(ctx, "reader", "1", func(int) {})
			left <- err
		}()
		synctest.Wait()
		served := make(chan func(), 1)
		go func() {
			leave, err := q.enter(t.Context(), "reader", "2", func(int) {})
			if err != nil {
				t.Error(err)
			}
			served <- leave
		}()
		synctest.Wait()
		cancel(gone)
		if err := <-left; !errors.Is(err, gone) {
			t.Errorf("the client that went away got %v", err)
		}
		first()
		(<-served)()
		if len(q.places) != 0 {
			t.Errorf("%d queues are left", len(q.places))
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q queues
		first, err := q.enter(t.Context(), "reader", "0", nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range queuePerUser {
			wg.Go(func() { _, _ = q.enter(ctx, "reader", "1", func(int) {}) })
		}
		synctest.Wait()
		wg.Go(func() { _, _ = q.enter(ctx, "reader", "1", func(int) {}) })
		synctest.Wait()
		if _, err := q.enter(ctx, "reader", "1", nil); ipc.KindOf(err) != ipc.Busy {
			t.Errorf("one user too many times in the queue: %v", err)
		}
		other, err := q.join("reader", "2")
		if err != nil {
			t.Errorf("another user was turned away: %v", err)
		}
		if leave, err := q.enter(t.Context(), "other reader", "1", nil); err != nil {
			t.Errorf("another token's queue was full: %v", err)
		} else {
			leave()
		}
		cancel()
		wg.Wait()
		q.quit("reader", other)
		first()
		if len(q.places) != 0 {
			t.Errorf("%d queues are left", len(q.places))
		}
	})
}
