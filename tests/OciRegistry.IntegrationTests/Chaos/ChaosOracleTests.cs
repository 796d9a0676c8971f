namespace OciRegistry.IntegrationTests.Chaos;

/// <summary>The oracle reports exactly the reads that no order of the writes explains.</summary>
public sealed class ChaosOracleTests
{
    private const string First = "sha256:aaaa";
    private const string Second = "sha256:bbbb";

    private static readonly ChaosKey Blob = new(KeyKind.Blob, "r", "sha256:b10b");
    private static readonly ChaosKey Tag = new(KeyKind.Tag, "r", "t");
    private readonly ChaosHistory _history = new();

    [Fact]
    public void A_blob_is_absent_before_its_push()
    {
        Judge(Blob, null, 1, 2).ShouldBeTrue();
        Judge(Blob, ChaosHistory.Present, 1, 2).ShouldBeFalse();
    }

    [Fact]
    public void A_push_may_be_visible_while_it_runs_and_is_once_acknowledged()
    {
        Write(Blob, ChaosHistory.Present, 10, 20);
        Judge(Blob, null, 21, 22).ShouldBeFalse();
        Judge(Blob, ChaosHistory.Present, 21, 22).ShouldBeTrue();
        Judge(Blob, null, 15, 25).ShouldBeTrue();
        Judge(Blob, ChaosHistory.Present, 15, 16).ShouldBeTrue();
        Judge(Blob, ChaosHistory.Present, 5, 9).ShouldBeFalse();
    }

    [Fact]
    public void A_deleted_blob_stays_deleted()
    {
        Write(Blob, ChaosHistory.Present, 10, 20);
        Write(Blob, null, 30, 40);
        Judge(Blob, ChaosHistory.Present, 41, 42).ShouldBeFalse();
        Judge(Blob, null, 29, 29).ShouldBeFalse();
        Judge(Blob, null, 35, 36).ShouldBeTrue();
    }

    [Fact]
    public void Overlapping_requests_may_take_effect_in_any_order()
    {
        Write(Blob, ChaosHistory.Present, 10, 20);
        Write(Blob, null, 15, 25);
        Judge(Blob, ChaosHistory.Present, 30, 31).ShouldBeTrue();
        Judge(Blob, null, 30, 31).ShouldBeTrue();
    }

    [Fact]
    public void A_rejected_write_is_never_visible()
    {
        Write(Blob, ChaosHistory.Present, 10, 20, Fate.Rejected);
        Judge(Blob, ChaosHistory.Present, 15, 30).ShouldBeFalse();
    }

    [Fact]
    public void An_interrupted_write_may_take_effect_until_its_process_is_killed()
    {
        var process = new ChaosProcess { Ended = 50 };
        Write(Blob, ChaosHistory.Present, 10, 20);
        Write(Blob, null, 22, 23, Fate.Unknown, process);
        Write(Blob, ChaosHistory.Present, 30, 35);
        Judge(Blob, null, 40, 41).ShouldBeTrue();
        Judge(Blob, ChaosHistory.Present, 60, 61).ShouldBeTrue();
        Judge(Blob, null, 60, 61).ShouldBeTrue("it may have taken effect at 49");

        Write(Blob, ChaosHistory.Present, 55, 56);
        Judge(Blob, null, 60, 61).ShouldBeFalse();

        Write(Blob, null, 70, 71, Fate.Unknown, new ChaosProcess { Ended = 75 });
        Judge(Blob, null, 80, 81).ShouldBeTrue();
        Judge(Blob, ChaosHistory.Present, 80, 81).ShouldBeTrue("it may never have taken effect");
    }

    [Fact]
    public void An_interrupted_upload_may_be_completed_until_the_blob_is_deleted()
    {
        Write(Blob, ChaosHistory.Present, 10, 20, Fate.Unknown, new ChaosProcess { Ended = 25 });
        Judge(Blob, ChaosHistory.Present, 100, 101).ShouldBeTrue();
        Judge(Blob, null, 100, 101).ShouldBeTrue();

        Write(Blob, null, 200, 210);
        Judge(Blob, ChaosHistory.Present, 201, 202).ShouldBeTrue();
        Judge(Blob, ChaosHistory.Present, 211, 212).ShouldBeFalse();
    }

    [Fact]
    public void A_moved_tag_does_not_revert()
    {
        Write(Tag, First, 10, 20);
        Write(Tag, Second, 30, 40);
        Judge(Tag, First, 41, 42).ShouldBeFalse();
        Judge(Tag, Second, 41, 42).ShouldBeTrue();
        Judge(Tag, ChaosHistory.Some, 1, 2).ShouldBeFalse();
        Judge(Tag, ChaosHistory.Some, 41, 42).ShouldBeTrue();
        Judge(Tag, null, 41, 42).ShouldBeFalse();
    }

    [Fact]
    public void The_delete_of_a_manifest_removes_the_tags_that_point_to_it_and_no_other()
    {
        Write(Tag, First, 10, 20);
        Write(Manifest(First), null, 30, 40);
        Judge(Tag, First, 41, 42).ShouldBeFalse();
        Judge(Tag, null, 41, 42).ShouldBeTrue();

        Write(Tag, Second, 50, 60);
        Write(Manifest(First), null, 70, 80);
        Judge(Tag, Second, 81, 82).ShouldBeTrue();
        Judge(Tag, null, 81, 82).ShouldBeFalse();
    }

    [Fact]
    public void A_tag_remains_when_it_moves_during_the_delete_of_its_former_manifest()
    {
        Write(Tag, First, 10, 20);
        Write(Tag, Second, 30, 40);
        Write(Manifest(First), null, 35, 45);
        Judge(Tag, null, 50, 51).ShouldBeFalse();
        Judge(Tag, Second, 50, 51).ShouldBeTrue();
    }

    [Fact]
    public void A_tag_may_be_absent_while_the_delete_of_its_manifest_may_take_effect()
    {
        var process = new ChaosProcess();
        Write(Tag, First, 10, 20);
        Write(Manifest(First), null, 30, 40, Fate.Unknown, process);
        Write(Tag, First, 50, 60);
        Look(Tag, null, 70, 71);
        new ChaosOracle(_history).FindViolations().ShouldBeEmpty();

        process.Ended = 71;
        Write(Tag, First, 72, 73);
        Look(Tag, null, 80, 81);
        new ChaosOracle(_history).FindViolations().ShouldHaveSingleItem().ShouldContain("r tag t cannot be absent");
    }

    [Fact]
    public void A_violation_lists_the_operations_before_it()
    {
        Write(Blob, ChaosHistory.Present, 10, 20);
        Look(Blob, null, 30, 31);

        var violation = new ChaosOracle(_history).FindViolations().ShouldHaveSingleItem();
        violation.ShouldContain("r blob sha256:b10b cannot be absent");
        violation.ShouldContain("read absent    reader   replica 1  GET  200");
        violation.ShouldContain("Succeeded      writer   replica 0  PUT  201");
    }

    private static ChaosKey Manifest(string digest) => new(KeyKind.Manifest, "r", digest);

    private bool Judge(ChaosKey key, string? value, long start, long end) => new ChaosOracle(_history).MayBe(key, value, start, end);

    private void Write(
        ChaosKey key, string? value, long start, long end, Fate fate = Fate.Succeeded, ChaosProcess? process = null) =>
        _history[key].Add(new ChaosWrite(value, start, new ChaosCall("writer", 0, "PUT") { Outcome = "201" })
        {
            End = end,
            Fate = fate,
            Process = process,
        });

    private void Look(ChaosKey key, string? value, long start, long end) =>
        _history[key].Add(new ChaosRead(value, start, end, new ChaosCall("reader", 1, "GET") { Outcome = "200" }));
}
