<?php

declare(strict_types=1);

namespace Lvsession\Tests;

/**
 * A program in the background, ended with this object or with PHP at the latest.
 */
final class Process
{
    /** @var resource */
    private $process;

    /** @var resource standard output */
    private $output;

    private bool $running = true;

    /**
     * @param list<string> $command
     */
    public function __construct(array $command)
    {
        $process = proc_open($command, [['file', '/dev/null', 'r'], ['pipe', 'w']], $pipes);
        if ($process === false) {
            throw new \RuntimeException('cannot start ' . $command[0]);
        }
        $this->process = $process;
        $this->output = $pipes[1];
        register_shutdown_function([$this, 'kill']); // PHPUnit may end without destructors
    }

    public function __destruct()
    {
        $this->kill();
    }

    /** The next line that the program prints. */
    public function line(): string
    {
        $line = fgets($this->output);
        if ($line === false) {
            throw new \RuntimeException('the program ended without a word');
        }
        return rtrim($line);
    }

    public function isRunning(): bool
    {
        return proc_get_status($this->process)['running'];
    }

    /** Ends the program with SIGKILL and returns once it is gone. */
    public function kill(): void
    {
        if ($this->running) {
            $this->running = false;
            proc_terminate($this->process, 9);
            proc_close($this->process);
        }
    }
}
