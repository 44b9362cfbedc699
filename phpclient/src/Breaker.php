<?php

declare(strict_types=1);

namespace Lvsession;

/**
 * What the PHP processes of one user on one machine tell each other about sessionds that let them wait: so a page does
 * not wait for what another page has just waited for in vain.
 *
 * There is a file for each such sessiond, in a folder of this user's own under the folder for temporary files: its time
 * is that of the last failure, and its size how many there were in a row. It goes with the first answer. While nothing
 * fails there is no folder, and a request pays for one look at it. Where the folder cannot be had, or is somebody
 * else's, each process is on its own.
 *
 * @internal
 */
final class Breaker
{
    /** The sessiond answers, as far as anybody knows. */
    public const CLOSED = 0;

    /** It failed a moment ago: try it last. */
    public const DOUBTED = 1;

    /** It failed several times in a row: do not try it, but let one process a second find out. */
    public const OPEN = 2;

    /** Failures in a row from which on it is not tried. */
    private const MANY = 3;

    /** Seconds for which a failure counts: one alone, and one of several. */
    private const DOUBT = 3;
    private const MEMORY = 30;

    /** For how long a look at the folder is good, in nanoseconds: scripts that run on must not miss a change. */
    private const FRESH = 500000000;

    private string $folder;

    private int $uid;

    /** The time of hrtime() until which $trouble need not be looked at again. */
    private int $until = 0;

    /** Whether there is a folder to look into. */
    private bool $trouble = false;

    /** @var array<string, true> files that state() found */
    private array $found = [];

    public function __construct()
    {
        $this->uid = function_exists('posix_geteuid') ? posix_geteuid() : (int) getmyuid();
        $this->folder = sys_get_temp_dir() . '/lvsession-' . $this->uid;
    }

    /**
     * Tells what is known about an endpoint. Of the processes that ask about one which failed several times, one a
     * second is told DOUBTED, and tries it for all.
     */
    public function state(Endpoint $endpoint): int
    {
        if (!$this->hasTrouble()) {
            return self::CLOSED;
        }
        $file = $this->file($endpoint);
        clearstatcache();
        $known = @lstat($file);
        if ($known === false) {
            return self::CLOSED;
        }
        $this->found[$file] = true;
        $age = time() - $known['mtime'];
        if ($known['size'] < self::MANY) {
            return $age < self::DOUBT ? self::DOUBTED : self::CLOSED;
        }
        if ($age >= self::MEMORY) {
            return self::CLOSED;
        }
        return $age >= 1 && @touch($file) ? self::DOUBTED : self::OPEN;
    }

    /** Notes that an endpoint let this process wait. */
    public function failed(Endpoint $endpoint): void
    {
        if (!$this->isOurs() && !(@mkdir($this->folder, 0700) && $this->isOurs())) {
            return;
        }
        $this->until = 0;
        $file = $this->file($endpoint);
        clearstatcache();
        $known = @lstat($file);
        if ($known !== false && $known['size'] >= self::MANY && time() - $known['mtime'] < self::MEMORY) {
            @touch($file); // enough of them
            return;
        }
        $old = $known !== false && time() - $known['mtime'] >= self::MEMORY;
        @file_put_contents($file, '.', $old ? 0 : FILE_APPEND);
    }

    /** Notes that an endpoint answered. */
    public function worked(Endpoint $endpoint): void
    {
        if ($this->found === []) {
            return;
        }
        $file = $this->file($endpoint);
        if (isset($this->found[$file])) {
            unset($this->found[$file]);
            @unlink($file);
            @rmdir($this->folder); // if that was the last one
        }
    }

    private function hasTrouble(): bool
    {
        $now = hrtime(true);
        if ($now >= $this->until) {
            $this->trouble = $this->isOurs();
            $this->until = $now + self::FRESH;
        }
        return $this->trouble;
    }

    /** Whether there is a folder and nobody else can have put anything into it. */
    private function isOurs(): bool
    {
        clearstatcache();
        $folder = @lstat($this->folder); // not stat: it would follow a link that somebody else planted
        return $folder !== false && ($folder['mode'] & 0170000) === 0040000 && $folder['uid'] === $this->uid
            && ($folder['mode'] & 0022) === 0;
    }

    private function file(Endpoint $endpoint): string
    {
        return $this->folder . '/' . substr(hash('sha256', $endpoint->address()), 0, 32);
    }
}
