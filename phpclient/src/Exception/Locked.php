<?php

declare(strict_types=1);

namespace Lvsession\Exception;

/**
 * Another request holds the session's lease, and the wait for it is over.
 */
final class Locked extends SessionException
{
}
