using OciRegistry.Benchmarks.Support;

namespace OciRegistry.Benchmarks.Scenarios;

/// <summary>One thing to measure, in a folder of its own and servers that it starts itself.</summary>
internal interface IScenario
{
    string Name { get; }

    string Description { get; }

    /// <summary>Free space that it needs.</summary>
    double DiskGiB { get; }

    Task RunAsync(Bench bench);
}
