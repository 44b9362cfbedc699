<?php

/**
 * The PHP half of a mixed fleet: every visit adds to the session what its other half, mixedPage in mixed_test.go, adds.
 * Query: login, the name of a user who logs in with this request. The answer is JSON.
 */

declare(strict_types=1);

require getenv('PHPCLIENT') . '/autoload.php';

/** A class that the Go pages have never heard of. */
final class Visitor
{
    private string $name;
    protected array $visits = [];
    public ?Visitor $self = null;

    public function __construct(string $name)
    {
        $this->name = $name;
        $this->self = $this;
    }

    public function visit(string $server): void
    {
        $this->visits[] = $server;
    }

    public function describe(): string
    {
        return $this->self === $this ? $this->name . ' ' . count($this->visits) : 'broken';
    }
}

ini_set('display_errors', '0');
header('Content-Type: application/json');

$server = getenv('SERVER_LABEL');
$handler = ini_get('session.save_handler') === 'redis' ? null : Lvsession\SessionHandler::register();
session_start();
if (isset($_GET['login'])) {
    session_regenerate_id(true);
    $_SESSION['user'] = ['name' => $_GET['login'], 'by' => $server, 'rate' => 0.1];
}
$_SESSION['visitor'] = $_SESSION['visitor'] ?? new Visitor('somebody');
$_SESSION['visitor']->visit($server);
$_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1;
$_SESSION['seen'][$server] = ($_SESSION['seen'][$server] ?? 0) + 1;
$flashes = $_SESSION['_flash'] ?? [];
$_SESSION['_flash'] = ["from $server"];
$body = [
    'server' => $server,
    'count' => $_SESSION['count'],
    'user' => $_SESSION['user']['name'] ?? '',
    'seen' => $_SESSION['seen'],
    'flashes' => $flashes,
    'visitor' => $_SESSION['visitor']->describe(),
];
if ($handler === null) {
    session_write_close();
} else {
    $handler->commit();
}
echo json_encode($body), "\n";
