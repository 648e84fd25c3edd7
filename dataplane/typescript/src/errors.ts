/** What keeps a request from being served, each with the HTTP status that its caller sees. */

/** A request that is not served. The text says what is wrong, and then what to do. */
export class Refused extends Error {
  readonly status: number = 503;

  constructor(message: string, readonly release: string | null = null) {
    super(message);
    this.name = new.target.name;
  }

  /** The JSON that the caller gets. */
  body(): { error: string; release: string | null } {
    return { error: this.message, release: this.release };
  }
}

/** No release serves: nothing is released yet, or the pipeline is paused. */
export class NoRelease extends Refused {}

/** A trusted caller gave a release that this replica does not know, or two different ones. */
export class UnknownRelease extends Refused {}

/** A targeting key that can't be one: the caller's own mistake, and no evidence about a release. */
export class RefusedKey extends Refused {
  override readonly status = 400;
}

/** A text that is no flag definition of this pipeline. It says why; it is never evaluated. */
export class BadDefinition extends Error {}

/** Where definitions come from can't be read now. It says why. */
export class SourceGone extends Error {}

/** What an error of any kind says. */
export function said(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
