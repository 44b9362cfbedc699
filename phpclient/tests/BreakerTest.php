<?php

declare(strict_types=1);

namespace Lvsession\Tests;

use PHPUnit\Framework\TestCase;

/**
 * What processes learn from each other about sessionds that let them wait. Each script has a TMPDIR of the test's own.
 */
final class BreakerTest extends TestCase
{
    private string $tmp;

    protected function setUp(): void
    {
        $this->tmp = sys_get_temp_dir() . '/breaker-' . bin2hex(random_bytes(6));
        mkdir($this->tmp, 0700);
    }

    protected function tearDown(): void
    {
        foreach (array_merge(glob("$this->tmp/*/*") ?: [], glob("$this->tmp/*") ?: []) as $path) {
            is_dir($path) && !is_link($path) ? rmdir($path) : unlink($path);
        }
        rmdir($this->tmp);
    }

    /**
     * @return mixed
     */
    private function script(string $script, string $endpoints = 'http://127.0.0.1:1')
    {
        return Script::run('require "autoload.php"; $b = new Lvsession\Breaker();'
            . '$e = Lvsession\Endpoint::parse("http://127.0.0.1:1");' . $script, [], [
                'TMPDIR' => $this->tmp, 'LVSESSION_ENDPOINTS' => $endpoints, 'LVSESSION_TIMEOUT_MS' => '300',
            ]);
    }

    /** Sets the time of what was noted, in seconds from now. */
    private function moveBy(int $seconds): void
    {
        $files = glob("$this->tmp/*/*") ?: [];
        self::assertCount(1, $files);
        touch($files[0], time() + $seconds);
    }

    public function testStates(): void
    {
        $state = 'echo json_encode($b->state($e));';
        self::assertSame(0, $this->script($state));
        self::assertSame([], glob("$this->tmp/*"), 'something is kept though nothing failed');
        $this->script('$b->failed($e); echo json_encode(1);');
        $this->moveBy(3600); // a clock that goes on must not change what follows
        self::assertSame(1, $this->script($state));
        $this->moveBy(-3);
        self::assertSame(0, $this->script($state));
        $this->moveBy(0);
        $this->script('$b->failed($e); $b->failed($e); $b->failed($e); echo json_encode(1);');
        $this->moveBy(3600);
        self::assertSame(2, $this->script($state));
        $this->moveBy(-2);
        self::assertSame(1, $this->script($state), 'nobody is to find out whether it is back');
        $this->moveBy(-31);
        self::assertSame(0, $this->script($state));
        $this->moveBy(3600);
        self::assertSame(0, $this->script("\$b->state(\$e); \$b->worked(\$e); $state"));
        self::assertSame([], glob("$this->tmp/*"), "the folder outlives the trouble");
    }

    public function testSilentSessiondIsNotAskedByEachProcess(): void
    {
        $server = stream_socket_server('tcp://127.0.78.1:0'); // accepts nothing, so nobody answers
        $silent = 'http://' . stream_socket_get_name($server, false);
        $read = '$c = new Lvsession\Client(Lvsession\Options::fromEnvironment()); $error = "";'
            . 'try { $c->read(str_repeat("a", 32)); } catch (Exception $x) { $error = $x->getMessage(); }';
        $answer = 'echo json_encode($error);';
        self::assertStringContainsString('no answer in time', $this->script("$read $read $read $answer", $silent));
        $this->moveBy(3600);
        self::assertStringContainsString('a moment ago', $this->script($read . $answer, $silent));
        self::assertSame('', $this->script($read . $answer, $silent . ',' . Sessiond::shared()->http));
        self::assertStringContainsString('no answer in time', $this->script(
            str_replace('::fromEnvironment()', '::fromEnvironment(["breaker" => false])', $read) . $answer,
            $silent
        ));
        $this->moveBy(-2);
        self::assertStringContainsString('no answer in time', $this->script($read . $answer, $silent));
    }

    public function testAnothersFolderIsLeftAlone(): void
    {
        $folder = $this->tmp . '/lvsession-' . posix_geteuid();
        $fails = '$b->failed($e); $b->failed($e); $b->failed($e); echo json_encode($b->state($e));';
        mkdir("$this->tmp/target", 0700);
        symlink("$this->tmp/target", $folder);
        self::assertSame(0, $this->script($fails));
        self::assertSame([], glob("$this->tmp/target/*"), 'it followed a link');
        unlink($folder);
        mkdir($folder);
        chmod($folder, 0777);
        self::assertSame(0, $this->script($fails));
        self::assertSame([], glob("$folder/*"), 'it wrote where everybody can');
        rmdir($folder);
        self::assertNotSame(0, $this->script($fails));
        self::assertSame(0040700, fileperms($folder));
    }
}
