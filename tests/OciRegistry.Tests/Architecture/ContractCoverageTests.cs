using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using OciRegistry.Coordination;
using OciRegistry.Storage;
using OciRegistry.Tests.Coordination;
using OciRegistry.Tests.Storage;

namespace OciRegistry.Tests.Architecture;

/// <summary>No backend without its contract: what is not held against it will differ.</summary>
public sealed partial class ContractCoverageTests
{
    public static TheoryData<Type, Type> Contracts => new()
    {
        { typeof(IDocumentStore), typeof(DocumentStoreContract) },
        { typeof(IBlobStore), typeof(BlobStoreContract) },
        { typeof(IUploadStore), typeof(UploadStoreContract) },
        { typeof(IRegistryLocks), typeof(RegistryLocksContract) },
    };

    [Theory]
    [MemberData(nameof(Contracts))]
    public void Every_implementation_has_tests_that_derive_from_its_contract(Type service, Type contract)
    {
        var implementations = Directory.EnumerateFiles(AppContext.BaseDirectory, "OciRegistry*.dll")
            .Select(file => Assembly.Load(Path.GetFileNameWithoutExtension(file)))
            .Where(assembly => assembly != typeof(ContractCoverageTests).Assembly)
            .SelectMany(assembly => assembly.GetTypes())
            .Where(type => type is { IsClass: true, IsAbstract: false } && type.IsAssignableTo(service))
            .ToArray();

        // By their sources: a backend that needs a server is tested in the integration ring.
        var tests = Directory.EnumerateFiles(TestsFolder(), "*Tests.cs", SearchOption.AllDirectories)
            .SelectMany(file => DerivedClass().Matches(File.ReadAllText(file)))
            .Where(match => match.Groups["contract"].Value == contract.Name)
            .Select(match => match.Groups["class"].Value)
            .ToArray();

        implementations.ShouldNotBeEmpty();
        tests.ShouldBe(implementations.Select(type => $"{type.Name}Tests"), ignoreOrder: true);
    }

    [Fact]
    public void Every_contract_is_in_the_table() =>
        typeof(ContractCoverageTests).Assembly.GetTypes()
            .Where(type => type.IsAbstract && type.Name.EndsWith("Contract", StringComparison.Ordinal))
            .ShouldBe(Contracts.Select(row => row.Data.Item2), ignoreOrder: true);

    [GeneratedRegex(@"^public sealed (?:partial )?class (?<class>\w+)(?:\(.*\))? : (?<contract>\w+Contract)\b", RegexOptions.Multiline)]
    private static partial Regex DerivedClass();

    private static string TestsFolder([CallerFilePath] string path = "") =>
        Path.GetFullPath(Path.Combine(Path.GetDirectoryName(path)!, "..", ".."));
}
