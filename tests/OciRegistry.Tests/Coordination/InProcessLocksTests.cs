using OciRegistry.Coordination;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Coordination;

public sealed class InProcessLocksTests : RegistryLocksContract
{
    private protected override IRegistryLocks Create(ManualTimeProvider time) => new InProcessLocks(time);
}
