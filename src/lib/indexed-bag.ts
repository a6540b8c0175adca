/** Who can be in a crowd, of which it knows its place. */
export interface Member {
  /** Kept by the crowd that it is in; -1 outside of one. */
  place: number;
}

/**
 * Members in no order. It takes one word of memory for each, where a Set takes five and more: servers hold tens of thousands of
 * clients, most of whom do nothing.
 */
export class IndexedBag<T extends Member> {
  readonly #members: T[] = [];

  get size(): number {
    return this.#members.length;
  }

  add(member: T): void {
    if (member.place !== -1) return;
    member.place = this.#members.length;
    this.#members.push(member);
  }

  /** Returns whether it was there. */
  delete(member: T): boolean {
    const { place } = member;
    if (this.#members[place] !== member) return false;
    const last = this.#members.pop();
    if (last !== undefined && last !== member) {
      this.#members[place] = last;
      last.place = place;
    }
    member.place = -1;
    return true;
  }

  /** A list of its own. */
  get all(): T[] {
    return [...this.#members];
  }

  /** Members may leave meanwhile: where others do, one may be visited twice, and who comes is left out. */
  each(visit: (member: T) => void): void {
    for (let place = this.#members.length - 1; place >= 0; place -= 1) {
      const member = this.#members[place];
      if (member !== undefined) visit(member);
    }
  }
}
