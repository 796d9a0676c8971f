using OciRegistry.Storage;

namespace OciRegistry.Tests.Storage;

public sealed class RememberedTests
{
    [Fact]
    public void What_was_set_last_is_remembered_until_it_is_forgotten()
    {
        var remembered = new Remembered<string, int>(10);
        remembered.Set("a", 1);
        remembered.Set("a", 2);
        remembered.TryGet("a", out var value).ShouldBeTrue();
        value.ShouldBe(2);

        remembered.Forget("a");
        remembered.Contains("a").ShouldBeFalse();
    }

    [Fact]
    public void Entries_that_were_set_again_or_forgotten_count_once_or_not_at_all()
    {
        var remembered = new Remembered<int, int>(10);
        for (var i = 0; i < 100; i++)
        {
            remembered.Set(1, i);
            remembered.Set(2, i);
            remembered.Forget(2);
        }

        remembered.Contains(1).ShouldBeTrue();
    }

    [Fact]
    public void However_many_come_at_once_no_more_than_the_capacity_are_remembered()
    {
        var remembered = new Remembered<int, int>(100);
        Parallel.For(0, 10_000, i => remembered.Set(i, i));

        Enumerable.Range(0, 10_000).Count(remembered.Contains).ShouldBeLessThanOrEqualTo(100);
    }
}
