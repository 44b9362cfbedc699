<?php

/**
 * The page of the comparison: reads its session and writes it, 2 KB of payload, and answers the number of the visit.
 */

declare(strict_types=1);

session_start();
$_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
$_SESSION['basket'] = $_SESSION['basket'] ?? str_repeat('item 4711, blue, 3 pieces; ', 74);
$visits = $_SESSION['visits'];
session_write_close();
echo $visits;
