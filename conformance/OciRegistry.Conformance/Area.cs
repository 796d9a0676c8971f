namespace OciRegistry.Conformance;

/// <summary>The checks of one part of the protocol, in the order in which they are run.</summary>
internal sealed class Area(string name)
{
    private readonly List<Check> _checks = [];

    public string Name => name;

    public IReadOnlyList<Check> Checks => _checks;

    public Area Must(string rule, Func<Repository, Task> run) => With(new(Level.Must, rule, run));

    public Area Should(string rule, Func<Repository, Task> run) => With(new(Level.Should, rule, run));

    public Area May(string rule, Func<Repository, Task> run) => With(new(Level.May, rule, run));

    private Area With(Check check)
    {
        _checks.Add(check);
        return this;
    }
}
